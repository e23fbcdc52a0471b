package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A directory that this user may read and not write is told as that, and stays as it is. Root has to be somebody else on a
// thread for it.
func TestRecoverWithoutPermission(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12)
	before := readSegment(t, dir)
	for at := filepath.Dir(dir); at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		require.NoError(t, os.Chmod(at, 0o755))
	}
	for _, path := range []string{segment(t, dir), filepath.Join(dir, "LOCK"), filepath.Join(dir, "log"), dir} {
		require.NoError(t, os.Chmod(path, 0o555))
	}
	t.Cleanup(func() { // so that the test's directory can be removed
		_, _ = os.Chmod(dir, 0o755), os.Chmod(filepath.Join(dir, "log"), 0o755)
	})
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				failed <- err
				return
			}
		}
		failed <- recoverDir(t.Context(), dir, "", true, nil, &bytes.Buffer{})
	}()
	err := <-failed
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, filepath.Join(dir, "LOCK"))
	require.Equal(t, before, readSegment(t, dir))
}
