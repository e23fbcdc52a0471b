package sim

import (
	"strconv"

	"kvapp/fsm"
)

// sundryKeys is how many keys sundry commands share, in each of their databases.
const sundryKeys = 6

// sundryCommand draws a command of which the model knows nothing but that it answers one value. What it does is the state
// machine's own business, and must be the same on every node: other types, random choices, deadlines, databases, and reads
// that ride in an entry. The states of the nodes are compared, see compareHash.
func sundryCommand(d *dice) fsm.Command {
	key := func() string { return "x" + strconv.Itoa(d.n(sundryKeys)) }
	item := func() string { return "m" + strconv.Itoa(d.n(20)) }
	number := func(n int) string { return strconv.Itoa(d.n(n)) }
	var line []string
	switch d.n(16) {
	case 0, 1:
		line = []string{"sadd", key(), item(), item(), item()}
	case 2:
		line = []string{"spop", key()}
	case 3:
		line = []string{"srandmember", key()}
	case 4:
		line = []string{"sunionstore", key(), key(), key()}
	case 5:
		line = []string{"hset", key(), item(), number(1000), item(), item()}
	case 6:
		line = []string{"hincrby", key(), item(), number(10)}
	case 7:
		line = []string{"rpush", key(), item(), item()}
	case 8:
		line = []string{"lpop", key()}
	case 9:
		line = []string{"zadd", key(), number(100), item(), number(100), item()}
	case 10:
		line = []string{"zincrby", key(), "-0.5", item()}
	case 11, 12:
		line = []string{"pexpire", key(), number(3000)}
	case 13:
		line = []string{"setrange", key(), number(40), item()}
	case 14:
		line = []string{[]string{"rename", "copy"}[d.n(2)], key(), key()}
	default:
		line = []string{[]string{"del", "persist", "type"}[d.n(3)], key()}
	}
	c := fsm.Command{Spec: fsm.Lookup([]byte(line[0])), DB: d.n(3)}
	for _, arg := range line {
		c.Args = append(c.Args, []byte(arg))
	}
	c.Raw = rawCommand(c.Args)
	return c
}
