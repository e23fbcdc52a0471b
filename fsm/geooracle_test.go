//go:build oracle

package fsm

import (
	"bufio"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOracleGeo compares replies, with their order, and what is stored with redis-server. Distances that are stored may differ
// in the last bits.
func TestOracleGeo(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		o, rnd := startOracle(t, proto), rand.New(rand.NewSource(7))
		for round := range 60 {
			b := newBench()
			b.out.resp3 = proto == "3"
			o.do(t, []string{"FLUSHALL"})
			g := &geoGen{rnd: rnd, spread: []float64{0.01, 0.1, 1, 20, 180}[rnd.Intn(5)]}
			g.lon, g.lat = rnd.Float64()*360-180, rnd.Float64()*170-85
			if rnd.Intn(4) == 0 {
				g.lat = []float64{85.05112878, -85.05112878, 0, 84.9}[rnd.Intn(4)]
			}
			if rnd.Intn(6) == 0 {
				g.lon = []float64{180, -180, 0, 179.999}[rnd.Intn(4)]
			}
			cmds := [][]string{g.add(1 + rnd.Intn(300))}
			for range 60 {
				cmds = append(cmds, g.command())
			}
			for i, want := range o.do(t, cmds...) {
				got := b.do(cmds[i]...)
				if want != got && sameDistances(want, got) {
					continue
				}
				require.Equal(t, want, got, "round %d: %q behind %.2000q", round, cmds[i], cmds[0])
			}
			require.NoError(t, b.s.Check())
		}
	}
}

// sameDistances compares replies of which some strings or numbers are distances with 17 digits.
func sameDistances(want, got string) bool {
	a, b := bufio.NewScanner(strings.NewReader(want)), bufio.NewScanner(strings.NewReader(got))
	for a.Scan() {
		if !b.Scan() {
			return false
		}
		x, y := a.Text(), b.Text()
		if x == y || x[0] == '$' && y[0] == '$' {
			continue
		}
		f, err1 := strconv.ParseFloat(strings.TrimPrefix(x, ","), 64)
		g, err2 := strconv.ParseFloat(strings.TrimPrefix(y, ","), 64)
		if err1 != nil || err2 != nil || !strings.Contains(x, ".") || f-g > 1e-15*f || g-f > 1e-15*f {
			return false
		}
	}
	return !b.Scan()
}

type geoGen struct {
	rnd              *rand.Rand
	lon, lat, spread float64
}

func (g *geoGen) place() (lon, lat string) {
	for {
		p := geoPoint{g.lon + (g.rnd.Float64()*2-1)*g.spread, g.lat + (g.rnd.Float64()*2-1)*g.spread}
		if p.valid() { // and hardly ever at one place: Redis does not say what comes first at the same distance
			return text(p.lon), text(p.lat)
		}
	}
}

func (g *geoGen) member() string { return "m" + strconv.Itoa(g.rnd.Intn(320)) }

func (g *geoGen) add(n int) []string {
	cmd := []string{"GEOADD", "g"}
	for range n {
		lon, lat := g.place()
		cmd = append(cmd, lon, lat, g.member())
	}
	return cmd
}

func (g *geoGen) size() string {
	return text(g.rnd.Float64() * g.spread * []float64{1000, 50_000, 200_000, 1_000_000}[g.rnd.Intn(4)])
}

func (g *geoGen) some(words ...string) (chosen []string) {
	for _, w := range words {
		if g.rnd.Intn(3) == 0 {
			chosen = append(chosen, strings.Fields(w)...)
		}
	}
	return chosen
}

func (g *geoGen) command() []string {
	lon, lat := g.place()
	unit := []string{"m", "m", "m", "km", "FT", "mi"}[g.rnd.Intn(6)]
	options := g.some("ASC", "DESC", "COUNT "+strconv.Itoa(1+g.rnd.Intn(20)), "COUNT "+strconv.Itoa(1+g.rnd.Intn(200))+" ANY")
	with := g.some("WITHDIST", "WITHCOORD", "WITHHASH")
	switch g.rnd.Intn(12) {
	case 0:
		return g.add(1 + g.rnd.Intn(3))
	case 1:
		return []string{"GEODIST", "g", g.member(), g.member(), unit}
	case 2:
		return []string{"GEOPOS", "g", g.member(), g.member()}
	case 3:
		return []string{"GEOHASH", "g", g.member(), g.member()}
	case 4:
		return append(append([]string{"GEORADIUS", "g", lon, lat, g.size(), unit}, options...), with...)
	case 5:
		return append(append([]string{"GEORADIUSBYMEMBER_RO", "g", g.member(), g.size(), unit}, options...), with...)
	case 6:
		return append(append([]string{"GEOSEARCH", "g", "FROMLONLAT", lon, lat, "BYBOX", g.size(), g.size(), unit}, options...), with...)
	case 7:
		return append(append([]string{"GEOSEARCH", "g", "FROMMEMBER", g.member(), "BYRADIUS", g.size(), unit}, options...), with...)
	case 8:
		return append([]string{"GEOSEARCHSTORE", "d", "g", "FROMMEMBER", g.member(), "BYBOX", g.size(), g.size(), unit}, append(options, g.some("STOREDIST")...)...)
	case 9:
		return append([]string{"GEORADIUS", "g", lon, lat, g.size(), unit}, append(options, []string{"STORE", "STOREDIST"}[g.rnd.Intn(2)], "d")...)
	default:
		return []string{"ZRANGE", []string{"d", "g"}[g.rnd.Intn(2)], "0", "-1", "WITHSCORES"}
	}
}
