package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/wal"
)

// put writes a file without syncing anything.
func put(t require.TestingT, d *Disk, name, content string) wal.File {
	f, err := d.Create(name)
	require.NoError(t, err)
	n, err := io.WriteString(f, content)
	require.NoError(t, err)
	require.Equal(t, len(content), n)
	return f
}

// synced makes a durable file.
func synced(t require.TestingT, d *Disk, name, content string) wal.File {
	f := put(t, d, name, content)
	require.NoError(t, f.Sync())
	require.NoError(t, d.SyncDir("."))
	return f
}

// tree is what programs see: "name=content" of each file, in order.
func tree(t require.TestingT, d *Disk) (list []string) {
	names, err := d.ReadDir("/")
	require.NoError(t, err)
	for _, e := range names {
		b, err := d.ReadFile("/" + e.Name)
		if e.Dir {
			require.ErrorIs(t, err, syscall.EISDIR)
			b = []byte("dir")
		} else {
			require.NoError(t, err)
		}
		list = append(list, e.Name+"="+string(b))
	}
	return list
}

// What is left after each sequence of operations: by the death of the process everything, by a power failure that loses
// all that was not synced what the second list says, and by one that loses nothing everything.
func TestWhatSurvives(t *testing.T) {
	for name, c := range map[string]struct {
		do         func(t *testing.T, d *Disk)
		seen, kept []string
	}{
		"write": {func(t *testing.T, d *Disk) { put(t, d, "b", "new") }, []string{"a=old", "b=new"}, []string{"a=old"}},
		"write, sync": {func(t *testing.T, d *Disk) {
			require.NoError(t, put(t, d, "b", "new").Sync())
		}, []string{"a=old", "b=new"}, []string{"a=old"}},
		"write, syncdir": {func(t *testing.T, d *Disk) {
			put(t, d, "b", "new")
			require.NoError(t, d.SyncDir("/"))
		}, []string{"a=old", "b=new"}, []string{"a=old", "b="}},
		"write, sync, syncdir": {func(t *testing.T, d *Disk) { synced(t, d, "b", "new") }, []string{"a=old", "b=new"}, []string{"a=old", "b=new"}},
		"empty":                {func(t *testing.T, d *Disk) { put(t, d, "a", "") }, []string{"a="}, []string{"a=old"}},
		"overwrite": {func(t *testing.T, d *Disk) {
			f, err := d.OpenWrite("a")
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("NEW"), 1)
			require.NoError(t, err)
		}, []string{"a=oNEW"}, []string{"a=old"}},
		"behind the end": {func(t *testing.T, d *Disk) {
			f, err := d.OpenWrite("a")
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("x"), 5)
			require.NoError(t, err)
			require.NoError(t, f.Sync())
		}, []string{"a=old\x00\x00x"}, []string{"a=old\x00\x00x"}},
		"truncate": {func(t *testing.T, d *Disk) {
			f, err := d.OpenWrite("a")
			require.NoError(t, err)
			require.NoError(t, f.Truncate(1))
		}, []string{"a=o"}, []string{"a=old"}},
		"truncate, grow, sync": {func(t *testing.T, d *Disk) {
			f, err := d.OpenWrite("a")
			require.NoError(t, err)
			require.NoError(t, f.Truncate(1))
			require.NoError(t, f.Truncate(3))
			require.NoError(t, f.Sync())
		}, []string{"a=o\x00\x00"}, []string{"a=o\x00\x00"}},
		"rename":          {func(t *testing.T, d *Disk) { require.NoError(t, d.Rename("a", "b")) }, []string{"b=old"}, []string{"a=old"}},
		"rename, syncdir": {renameSynced, []string{"b=old"}, []string{"b=old"}},
		"replace": {func(t *testing.T, d *Disk) {
			require.NoError(t, put(t, d, "b", "new").Sync())
			require.NoError(t, d.Rename("b", "a"))
		}, []string{"a=new"}, []string{"a=old"}},
		"remove": {func(t *testing.T, d *Disk) { require.NoError(t, d.Remove("a")) }, nil, []string{"a=old"}},
		"remove, syncdir": {func(t *testing.T, d *Disk) {
			require.NoError(t, d.Remove("a"))
			require.NoError(t, d.SyncDir(""))
		}, nil, nil},
		"mkdir": {func(t *testing.T, d *Disk) { require.NoError(t, d.Mkdir("b")) }, []string{"a=old", "b=dir"}, []string{"a=old"}},
		"failed sync, sync": {func(t *testing.T, d *Disk) {
			f, err := d.OpenWrite("a")
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("gone"), 1)
			require.NoError(t, err)
			d.FailNext(OpSync, syscall.EIO)
			require.ErrorIs(t, f.Sync(), syscall.EIO)
			_, err = f.WriteAt([]byte("+"), 5)
			require.NoError(t, err)
			require.NoError(t, f.Sync())
		}, []string{"a=ogone+"}, []string{"a=old\x00\x00+"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := New(1)
			synced(t, d, "a", "old")
			c.do(t, d)
			require.Equal(t, c.seen, tree(t, d))
			killed, crashed := d.Clone(), d.Clone()
			killed.Kill()
			require.Equal(t, c.seen, tree(t, killed))
			crashed.Crash(Loss{})
			require.Equal(t, c.kept, tree(t, crashed))
			if name != "failed sync, sync" {
				d.Crash(Loss{BytesKept, NamesKept})
				require.Equal(t, c.seen, tree(t, d))
			}
		})
	}
}

func renameSynced(t *testing.T, d *Disk) {
	require.NoError(t, d.Rename("a", "b"))
	require.NoError(t, d.SyncDir("/"))
}

// Each kind of loss leaves what it is there for, and nothing that it should not.
func TestKindsOfLoss(t *testing.T) {
	old, all := make([]byte, 3*sector+100), make([]byte, 7*sector+100)
	for i := range old {
		old[i] = 'o'
	}
	for i := range all {
		all[i] = 'n'
	}
	seen := make(map[string]int)
	for seed := range uint64(400) {
		for _, how := range []Bytes{BytesPrefix, BytesSectors, BytesTorn, BytesZeros} {
			d := New(seed)
			f := synced(t, d, "a", string(old))
			_, err := f.WriteAt(all, 0)
			require.NoError(t, err)
			d.Crash(Loss{Bytes: how})
			b, err := d.ReadFile("a")
			require.NoError(t, err)
			seen[fmt.Sprint(how, shape(t, b))]++
		}
	}
	for shape, least := range map[string]int{
		"2front": 150, "2new": 150, // the first bytes, or all of them
		"3front": 1, "3mixed": 300, // whole sectors, some of them old, or zeros behind the old end
		"4torn":  100, // one sector in two parts
		"5zeros": 390,
	} {
		require.GreaterOrEqual(t, seen[shape], least, "%s of %v", shape, seen)
	}
	require.Zero(t, seen["2mixed"]+seen["2torn"]+seen["3torn"]+seen["5mixed"]+seen["5torn"], "%v", seen)
}

// shape says what new bytes (n) over old ones (o) look like.
func shape(t *testing.T, b []byte) string {
	changes, torn, zeros, last := 0, false, 0, byte('n')
	for i, c := range b {
		switch c {
		case 0:
			zeros++
		case 'n', 'o':
		default:
			require.Fail(t, "neither old nor new", "%q at %d", c, i)
		}
		if c != last {
			changes++
			torn = torn || i%sector != 0 && i != 3*sector+100
		}
		last = c
	}
	switch {
	case changes == 0 && len(b) == 7*sector+100:
		return "new"
	case changes == 1 && b[0] == 'o' && len(b) == 3*sector+100:
		return "old"
	case zeros > 0 && len(b) == 7*sector+100 && changes <= 2 && b[0] == 'n' && torn:
		return "zeros"
	case changes == 0 || changes == 1 && zeros == 0:
		return "front"
	case torn:
		return "torn"
	}
	return "mixed"
}

func TestNamesAreLostInOrder(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(100) {
		d := New(seed)
		synced(t, d, "a", "")
		put(t, d, "b", "")
		require.NoError(t, d.Remove("a"))
		require.NoError(t, d.Rename("b", "c"))
		d.Crash(Loss{Names: NamesPrefix})
		seen[fmt.Sprint(tree(t, d))] = true
	}
	require.Equal(t, map[string]bool{"[a=]": true, "[a= b=]": true, "[b=]": true, "[c=]": true}, seen)
}

func TestCrashAfter(t *testing.T) {
	parts := make(map[int]bool)
	for seed := range uint64(50) {
		d := New(seed)
		d.CrashAfter(5)
		f := put(t, d, "a", "12345") // two
		require.NoError(t, f.Sync())
		require.NoError(t, d.SyncDir("/"))
		require.EqualValues(t, 4, d.Ops())
		n, err := f.Write([]byte("678"))
		require.ErrorIs(t, err, ErrCrashed)
		require.EqualValues(t, 5, d.Ops())
		parts[n] = true
		for name, err := range everything(d, f) {
			require.ErrorIs(t, err, ErrCrashed, name)
		}
		require.EqualValues(t, 5, d.Ops(), "nothing was begun")
		lost := d.Clone()
		d.Kill()
		require.Equal(t, []string{"a=" + "12345678"[:5+n]}, tree(t, d))
		lost.Crash(Loss{})
		require.Equal(t, []string{"a=12345"}, tree(t, lost))
		for name, err := range everything(d, f) {
			if name != "create" && name != "mkdir" && name != "lock" && name != "rename" && name != "remove" {
				continue
			}
			require.NotErrorIs(t, err, ErrCrashed, name)
		}
	}
	require.Len(t, parts, 4)
	d := New(1)
	d.CrashAfter(1)
	d.CrashAfter(0)
	require.NoError(t, d.Mkdir("a"))
}

// everything does each operation once.
func everything(d *Disk, f wal.File) map[string]error {
	errs := make(map[string]error)
	_, errs["create"] = d.Create("x")
	_, errs["open"] = d.Open("a")
	_, errs["openwrite"] = d.OpenWrite("a")
	_, errs["readfile"] = d.ReadFile("a")
	_, errs["readdir"] = d.ReadDir("/")
	_, errs["stat"] = d.Stat("a")
	errs["mkdir"] = d.Mkdir("y")
	_, errs["lock"] = d.Lock("z")
	errs["rename"] = d.Rename("x", "w")
	errs["remove"] = d.Remove("w")
	errs["syncdir"] = d.SyncDir("/")
	_, errs["free"] = d.Free("/")
	_, errs["read"] = f.Read(make([]byte, 1))
	_, errs["readat"] = f.ReadAt(make([]byte, 1), 0)
	_, errs["write"] = f.Write([]byte("x"))
	_, errs["writeat"] = f.WriteAt([]byte("x"), 0)
	errs["truncate"] = f.Truncate(0)
	errs["sync"] = f.Sync()
	return errs
}

func TestFilesEndWithTheProcess(t *testing.T) {
	for name, end := range map[string]func(*Disk){
		"kill": (*Disk).Kill, "crash": func(d *Disk) { d.Crash(Loss{}) }, "wipe": (*Disk).Wipe,
	} {
		d := New(1)
		f := synced(t, d, "a", "x")
		l, err := d.Lock("LOCK")
		require.NoError(t, err)
		_, err = d.Lock("LOCK")
		require.ErrorIs(t, err, wal.ErrLocked)
		end(d)
		_, err = f.Write([]byte("y"))
		require.ErrorIs(t, err, fs.ErrClosed, name)
		require.ErrorIs(t, f.Sync(), fs.ErrClosed, name)
		require.ErrorIs(t, f.Close(), fs.ErrClosed, name)
		again, err := d.Lock("LOCK")
		require.NoError(t, err, name)
		require.ErrorIs(t, l.Close(), fs.ErrClosed, name)
		_, err = d.Lock("LOCK")
		require.ErrorIs(t, err, wal.ErrLocked, "the dead process ends no lock of the living one")
		require.NoError(t, again.Close())
		_, err = d.Lock("LOCK")
		require.NoError(t, err, name)
	}
}

func TestErrors(t *testing.T) {
	d := New(1)
	f := synced(t, d, "a", "x")
	require.NoError(t, d.Mkdir("dir"))
	put(t, d, "dir/b", "y")
	_, err := d.Open("none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = d.Create("none/b")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = d.Create("a/b")
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = d.Create("dir")
	require.ErrorIs(t, err, syscall.EISDIR)
	_, err = d.Create("/")
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.ErrorIs(t, d.Mkdir("dir"), fs.ErrExist)
	require.ErrorIs(t, d.Remove("dir"), syscall.ENOTEMPTY)
	require.ErrorIs(t, d.Remove("none"), fs.ErrNotExist)
	require.ErrorIs(t, d.Rename("none", "b"), fs.ErrNotExist)
	require.ErrorIs(t, d.Rename("a", "dir/a"), syscall.EXDEV)
	require.ErrorIs(t, d.Rename("a", "dir"), fs.ErrExist)
	require.ErrorIs(t, d.Rename("dir", "a"), syscall.ENOTDIR)
	require.NoError(t, d.Rename("a", "a"))
	require.ErrorIs(t, d.SyncDir("a"), syscall.ENOTDIR)
	_, err = d.ReadDir("a")
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = f.Seek(-9, io.SeekEnd)
	require.ErrorIs(t, err, fs.ErrInvalid)
	r, err := d.Open("/dir/b")
	require.NoError(t, err)
	_, err = r.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EBADF)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, fs.ErrClosed)
	for op := range opCount {
		errDisk := errors.New("disk")
		d.FailNext(op, errDisk)
		found := 0
		for _, err := range everything(d, f) {
			if errors.Is(err, errDisk) {
				found++
			}
		}
		require.Equal(t, 1, found, "%s fails once", op)
	}
}

func TestSpace(t *testing.T) {
	d := New(1)
	f := put(t, d, "a", "12345")
	d.SetSpace(4)
	n, err := f.Write([]byte("abcdef"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 4, n)
	n, err = f.WriteAt([]byte("ABC"), 0)
	require.NoError(t, err, "no more bytes than before")
	require.Equal(t, 3, n)
	free := func() int64 {
		left, err := d.Free("/")
		require.NoError(t, err)
		return left
	}
	require.Zero(t, free())
	require.NoError(t, f.Truncate(2))
	require.EqualValues(t, 7, free())
	put(t, d, "b", "1234567")
	require.Zero(t, free())
	require.NoError(t, d.Rename("b", "a"))
	require.EqualValues(t, 2, free())
	require.NoError(t, d.Remove("a"))
	require.EqualValues(t, 9, free())
	d.SetSpace(-1)
	require.Greater(t, free(), int64(1)<<60)
}

func TestWipeCloneHash(t *testing.T) {
	d := New(5)
	empty := d.Hash()
	f := synced(t, d, "a", "x")
	one := d.Hash()
	require.NotEqual(t, empty, one)
	_, err := f.Write([]byte("y"))
	require.NoError(t, err)
	require.Equal(t, one, d.Hash(), "only durable bytes count")
	old := d.Clone()
	require.NoError(t, f.Sync())
	two := d.Hash()
	require.NotEqual(t, one, two)
	require.NoError(t, d.Rename("a", "b"))
	require.NoError(t, d.SyncDir("/"))
	require.NotEqual(t, two, d.Hash())
	require.Equal(t, one, old.Hash())
	require.Equal(t, []string{"a=xy"}, tree(t, old), "a clone has what is not durable, too")
	old.Crash(Loss{})
	require.Equal(t, []string{"a=x"}, tree(t, old))
	path, off, ok := old.Rot("/a")
	require.True(t, ok)
	require.Equal(t, "/a", path)
	require.Zero(t, off)
	require.NotEqual(t, one, old.Hash())
	require.NotEqual(t, []string{"a=x"}, tree(t, old))
	d.Wipe()
	require.Empty(t, tree(t, d))
	require.Equal(t, empty, d.Hash())
}
