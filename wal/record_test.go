package wal

import (
	"encoding/hex"
	"fmt"

	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// goldenRecords is one record of each type; testdata/records.txt holds their bytes. A change of a line there is a change of
// the format on disk and needs a new formatVersion. A further type needs none: who does not know it refuses it.
func goldenRecords() map[recordType][]byte {
	sn := Snapshot{Meta: raft.SnapshotMeta{Index: 300, Term: 4, Membership: testMembership()}, Size: 70000, Sum: 0xdeadbeef}
	sn.Name = snapName(sn.Meta.Index, sn.Meta.Term, sn.Sum)
	e := raft.Entry{Index: 301, Term: 5, Kind: raft.EntryCommand, Data: []byte("SET k v")}
	recs := map[recordType][]byte{
		recIdentity:  appendIdentity(beginRecord(nil, 1, 0, recIdentity), &testID),
		recHardState: appendHardState(beginRecord(nil, 2, 0, recHardState), raft.HardState{Term: 5, Vote: 7, Commit: 300}),
		recEntry:     appendEntry(beginRecord(nil, 3, 1, recEntry), &e),
		recKept:      appendSnapshot(beginRecord(nil, 4, 0, recKept), &sn),
		recInstalled: appendSnapshot(beginRecord(nil, 5, 0, recInstalled), &sn),
		recRefounded: appendRefounded(beginRecord(nil, 6, 0, recRefounded), "beef", raft.HardState{Term: 6, Commit: 300}, &e),
	}
	for _, rec := range recs {
		sealRecord(rec)
	}
	return recs
}

func TestGoldenRecords(t *testing.T) {
	var got strings.Builder
	recs := goldenRecords()
	for typ := recIdentity; typ <= recRefounded; typ++ {
		fmt.Fprintf(&got, "%d %s\n", typ, hex.EncodeToString(recs[typ]))
		var r record
		require.NoError(t, decodeRecord(recs[typ], &r))
		require.Equal(t, recs[typ], encode(&r), "the decoder loses nothing")
	}
	require.Equal(t, string(readFile(t, filepath.Join("testdata", "records.txt"))), got.String())
}

// encode is the reverse of decodeRecord.
func encode(r *record) []byte {
	b := beginRecord(nil, r.seq, r.pos, r.typ)
	switch r.typ {
	case recIdentity:
		b = appendIdentity(b, &r.identity)
	case recHardState:
		b = appendHardState(b, r.hard)
	case recEntry:
		b = appendEntry(b, &r.entry)
	case recRefounded:
		b = appendRefounded(b, r.identity.Cluster, r.hard, &r.entry)
	default:
		b = appendSnapshot(b, &r.snapshot)
	}
	sealRecord(b)
	return b
}

// FuzzRecord: no input makes the decoder fail other than with an error, and what it accepts it understands completely.
func FuzzRecord(f *testing.F) {
	for _, rec := range goldenRecords() {
		f.Add(rec, true)
		f.Add(rec[:len(rec)-1], true)
		f.Add(rec, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= 4 { // get past the checksum
			sealRecord(b)
		}
		var r record
		if decodeRecord(b, &r) != nil {
			return
		}
		var again record
		require.NoError(t, decodeRecord(encode(&r), &again))
		require.Equal(t, r, again)
	})
}

// FuzzSegment: any bytes behind a good beginning are cut, refused or understood; the good beginning stays.
func FuzzSegment(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add(make([]byte, 100), 0)
	for _, rec := range goldenRecords() {
		f.Add(append([]byte{byte(len(rec))}, rec...), 0)
		f.Add(append([]byte{byte(len(rec))}, rec...), 1)
	}
	dir := f.TempDir()
	id := goldenRecords()[recIdentity]
	f.Fuzz(func(t *testing.T, tail []byte, seal int) {
		if rec, _, reason := frame(tail); reason == "" && seal == 1 {
			sealRecord(rec)
		}
		good := append([]byte{byte(len(id))}, id...)
		writeFile(t, segmentPath(dir, 1), append(good, tail...))
		p := newReplay()
		s, err := scanLog(osFS{}, dir, p.apply)
		if err != nil {
			return
		}
		require.Equal(t, testID, p.identity)
		require.GreaterOrEqual(t, s.segments[0].size, int64(len(good)))
		rest := append(good, tail...)[s.segments[0].size:]
		require.True(t, allZero(rest[s.tornSize:]))
		require.Equal(t, len(rest) > 0, s.torn != nil || len(s.padded) > 0)
		if p.finish() == nil {
			rec := p.recovered()
			require.LessOrEqual(t, rec.Snapshot.Meta.Index+uint64(len(rec.Entries)), p.idx.last())
		}
	})
}
