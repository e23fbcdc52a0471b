package fsm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStreamRead(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"xread streams s 0", "*-1"},
		{"xadd s 1 a 1", "$3 1-0"},
		{"xread count 5 streams s t 0 0", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1"},
		{"xread streams s $", "*-1"},
		{"xread block 0 streams s $", "*-1"}, // no client that could wait
		{"xread block -1 streams s $", "-ERR timeout is negative"},
		{"xread block 1.5 streams s $", "-ERR timeout is not an integer or out of range"},
		{"xread streams s t 0", "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."},
		{"xreadgroup group g c streams s >", "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"},
		{"xgroup create s g 0", "+OK"},
		{"xreadgroup group g c streams s s > >", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1"},
		{"xreadgroup group g c streams s >", "*-1"},
		{"xreadgroup group g c streams s 0", "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1"},
		{"xpending s g - + 5", "*1 *4 $3 1-0 $1 c :0 :2"},
		{"xdel s 1", ":1"},
		{"xreadgroup group g c streams s 0", "*1 *2 $1 s *1 *2 $3 1-0 *-1"},
		{"xack s g 1", ":1"},
		{"xreadgroup group g c streams s 0", "*1 *2 $1 s *0"},
		{"xadd s 2 a 1", "$3 2-0"},
		{"xreadgroup group g d noack streams s >", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 1"},
		{"xpending s g", "*4 :0 $-1 $-1 *-1"},
		{"xinfo consumers s g", "*2 *8 $4 name $1 c $7 pending :0 $4 idle :0 $8 inactive :0 *8 $4 name $1 d $7 pending :0 $4 idle :0 $8 inactive :-1"},
	}...)
	w := wire{resp3: true}
	require.Equal(t, "%1 $1 s *1 *2 $3 2-0 *2 $1 a $1 1", spaced(m.doOut(&w, "xread", "streams", "s", "0")))
	require.Equal(t, "_", spaced(m.doOut(&w, "xread", "streams", "s", "2")))
	sameEverywhere(t, m)
}

func TestStreamReadKeys(t *testing.T) {
	for line, want := range map[string][]int{
		"xread streams a b 0 0": {2, 3}, "xread count 1 block 2 streams streams 0": {6}, "xread streams a b 0": nil, "xread foo streams a 0": nil,
		"xreadgroup group streams c noack streams a 0": {6}, "xread streams": nil,
	} {
		f := asBytes(strings.Fields(line))
		require.Equal(t, want, Find(f).KeyPositions(f, nil), line)
	}
	for line, want := range map[string]bool{"xread streams block 0": false, "xread count block streams a 0": false, "xread block 0 streams a 0": true,
		"xreadgroup group block c streams a >": false, "xreadgroup group g c block 5 streams a >": true} {
		require.Equal(t, want, readWaits(asBytes(strings.Fields(line))), line)
	}
}

// Who waits for streams is served by what adds to them; a group's oldest consumer takes what there is.
func TestServingStreams(t *testing.T) {
	for name, c := range map[string]struct{ do, want []string }{
		"read": {[]string{"xadd s 1 a 1", "a: xread block 0 streams t s 0 $", "b: xread block 0 streams s 1", "xadd s 2 a 2"},
			[]string{"a *1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2", "b *1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2"}},
		"not yet": {[]string{"a: xread block 0 streams s 5", "xadd s 2 a 2", "xadd s 5 a 2"}, nil},
		"copied":  {[]string{"xadd t 7 a 1", "a: xread block 0 streams s 5", "copy t s"}, []string{"a *1 *2 $1 s *1 *2 $3 7-0 *2 $1 a $1 1"}},
		"group": {[]string{"xgroup create s g $ mkstream", "a: xreadgroup group g x block 0 streams s >", "b: xreadgroup group g y block 0 streams s >",
			"xadd s 1 a 1", "xadd s 2 a 2"},
			[]string{"a *1 *2 $1 s *1 *2 $3 1-0 *2 $1 a $1 1", "b *1 *2 $1 s *1 *2 $3 2-0 *2 $1 a $1 2"}},
		"group gone": {[]string{"xgroup create s g $ mkstream", "a: xreadgroup group g x block 0 streams s >", "xgroup destroy s g"},
			[]string{"a -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"}},
		"key gone": {[]string{"xgroup create s g $ mkstream", "a: xreadgroup group g x block 0 streams s >", "del s"},
			[]string{"a -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"}},
		"another type": {[]string{"xgroup create s g $ mkstream", "a: xreadgroup group g x block 0 streams s >", "b: xread block 0 streams s 0", "set s 1"},
			[]string{"a -WRONGTYPE Operation against a key holding the wrong kind of value"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSleepers(t)
			var got []string
			for _, l := range c.do {
				who, cmd, named := strings.Cut(l, ": ")
				if !named {
					cmd = l
				}
				x := command(t, 0, strings.Fields(cmd)...)
				if x.Spec.Logged != nil {
					x.Spec = x.Spec.Logged
				}
				reply := m.exec(who, x)
				require.Equal(t, named, reply == "waits", "%s: %s", l, reply)
				got = append(got, m.answers()...)
			}
			require.Equal(t, c.want, got)
			require.NoError(t, m.s.Check())
			require.Equal(t, stateHash(m.s), stateHash(m.replay()))
		})
	}
}
