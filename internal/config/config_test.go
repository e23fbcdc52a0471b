package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableIsSortedAndItsDefaultsParse(t *testing.T) {
	require.True(t, slices.IsSortedFunc(table, func(a, b Setting) int { return strings.Compare(a.name, b.name) }))
	for i := range table {
		row := &table[i]
		v, err := row.parse(row.def)
		require.NoError(t, err, row.name)
		require.Equal(t, row.def, v, row.name)
	}
	for alias, to := range aliases {
		require.NotNil(t, Lookup(to), alias)
		require.NotEqual(t, alias, Lookup(alias).name)
	}
}

func TestSetManyChangesAllOrNothing(t *testing.T) {
	s := New()
	var seen []string
	s.OnChange(func(n string) { seen = append(seen, n) })
	err := s.SetMany([][2]string{{"timeout", "5"}, {"maxclients", "many"}})
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "maxclients", e.Name)
	require.Equal(t, "0", s.Get("timeout"))
	require.Empty(t, seen)
	require.NoError(t, s.SetMany([][2]string{{"timeout", "5"}, {"MAXCLIENTS", "7"}}))
	require.EqualValues(t, 5, s.Int("timeout"))
	require.EqualValues(t, 7, s.Int("maxclients"))
	require.ElementsMatch(t, []string{"timeout", "maxclients"}, seen)
	require.ErrorIs(t, s.SetMany([][2]string{{"port", "1"}}), ErrFixed)
	require.NoError(t, s.SetMany([][2]string{{"port", "6379"}, {"bind", "127.0.0.1"}}), "the values they have")
	require.ErrorIs(t, s.SetMany([][2]string{{"node", ""}}), ErrFixed)
	require.ErrorIs(t, s.SetMany([][2]string{{"nope", "1"}}), ErrUnknown)
	require.ErrorIs(t, s.SetMany([][2]string{{"timeout", "1"}, {"timeout", "2"}}), ErrTwice)
}

func TestAliasesNameTheSameSetting(t *testing.T) {
	s := New()
	require.NoError(t, s.SetMany([][2]string{{"lua-time-limit", "7"}}))
	require.Equal(t, "7", s.Get("busy-reply-threshold"))
}

func TestLimitsOfEncodingsStayWhatTheyAre(t *testing.T) {
	s := New()
	require.ErrorIs(t, s.SetMany([][2]string{{"hash-max-ziplist-entries", "7"}}), ErrFixed)
	require.NoError(t, s.SetMany([][2]string{{"hash-max-ziplist-entries", "512"}, {"list-max-listpack-size", "-2"}}), "what they have")
	require.NoError(t, s.Set("zset-max-listpack-value", "1kb"))
	require.Equal(t, "64", s.Get("zset-max-listpack-value"))
	require.Equal(t, []string{"zset-max-listpack-value"}, s.Ignored())
}

func TestMemoryUnits(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1k": 1000, "1kb": 1024, "2MB": 2 << 20, "3g": 3e9, "7b": 7} {
		got, err := ParseMemory(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "k", "-1", "1x", "9223372036854775807kb"} {
		_, err := ParseMemory(text)
		require.Error(t, err, text)
	}
}

func TestOutputBufferClasses(t *testing.T) {
	s := New()
	require.NoError(t, s.SetMany([][2]string{{"client-output-buffer-limit", "normal 1mb 512kb 10 replica 0 0 0"}}))
	require.Equal(t, Buffer{1 << 20, 512 << 10, 10}, s.Buffers("normal"))
	require.Equal(t, Buffer{}, s.Buffers("slave"))
	require.Equal(t, Buffer{33554432, 8388608, 60}, s.Buffers("pubsub"))
	require.Error(t, s.SetMany([][2]string{{"client-output-buffer-limit", "normal 1"}}))
	require.Error(t, s.SetMany([][2]string{{"client-output-buffer-limit", "foo 1 1 1"}}))
}

func TestEventsAndSaves(t *testing.T) {
	s := New()
	for _, row := range [][3]string{
		{"notify-keyspace-events", "KEA", "AKE"}, {"notify-keyspace-events", "", ""}, {"notify-keyspace-events", "g$lshzxetdK", "AK"},
		{"notify-keyspace-events", "nxmE", "xnEm"}, {"save", "900 1 300 10", "900 1 300 10"}, {"save", "", ""},
	} {
		require.NoError(t, s.SetMany([][2]string{{row[0], row[1]}}), row)
		require.Equal(t, row[2], s.Get(row[0]), row)
	}
	for _, row := range [][2]string{{"notify-keyspace-events", "Kq"}, {"save", "900"}, {"save", " 900 1"}, {"save", "0 1"}, {"save", "1 -1"}, {"save", "a b"}} {
		require.Error(t, s.SetMany([][2]string{{row[0], row[1]}}), row)
	}
}

func TestSuggest(t *testing.T) {
	require.Equal(t, "maxclients", Suggest("max-clients"))
	require.Empty(t, Suggest("completely-unrelated-thing"))
}

func TestParseTellsWhatIsAllowed(t *testing.T) {
	s := New()
	require.ErrorContains(t, s.Set("port", "70000"), "between 0 and 65535")
	require.ErrorContains(t, s.Set("protected-mode", "maybe"), "must be 'yes' or 'no'")
	require.ErrorContains(t, s.Set("read-mode", "stale"), "lease, quorum")
	require.ErrorContains(t, s.Set("proto-max-bulk-len", "1gb"), "between 1048576 and 536870912", "the keyspace has no room for longer ones")
}
