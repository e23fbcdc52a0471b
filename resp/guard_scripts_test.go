package resp

import (
	"fmt"
	"strings"
)

// script is what a client sends and what it must be answered, by this server and by redis-server 7.0.
type script struct {
	name  string
	in    string
	want  string
	ends  bool // the server closes the connection; else it must answer a command sent behind in
	pass  bool // the server wants the password "secret"
	whole bool // in must arrive at once: Redis' answer depends on it
}

const (
	perr      = "-ERR Protocol error: "
	badMulti  = perr + "invalid multibulk length\r\n"
	badBulk   = perr + "invalid bulk length\r\n"
	badQuotes = perr + "unbalanced quotes in request\r\n"
	bigInline = perr + "too big inline request\r\n"
	bigMulti  = perr + "too big mbulk count string\r\n"
	bigBulk   = perr + "too big bulk count string\r\n"
	pong      = "+PONG\r\n"
	okay      = "+OK\r\n"
	noAuthYet = "-NOAUTH Authentication required.\r\n"
	wrongPass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	unauthLen = perr + "unauthenticated multibulk length\r\n"
	unauthArg = perr + "unauthenticated bulk length\r\n"
)

// cmd packs words that may hold anything.
func cmd(words ...string) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "*%d\r\n", len(words))
	for _, w := range words {
		sb.WriteString(bulk(w))
	}
	return sb.String()
}

func unknownOnly(name string) string {
	return "-ERR unknown command '" + name + "', with args beginning with: \r\n"
}

// scripts is every table together.
func scripts() []script {
	var all []script
	for _, part := range [][]script{openings(), bulks(), payloads(), orders(), inlines(), unauthenticated(), endings()} {
		all = append(all, part...)
	}
	return all
}

// openings are first lines.
func openings() []script {
	var all []script
	for _, n := range []string{"0", "-1", "-5", "-2147483649", "-9223372036854775808"} {
		all = append(all, script{name: "skipped *" + n, in: "*" + n + "\r\n" + cmd("PING"), want: pong})
	}
	for _, n := range []string{"2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551617", "99999999999999999999999999999",
		"-9223372036854775809", "-99999999999999999999", "+1", "01", "00", "-0", "-01", "-", "--1", "", " 1", "1 ", "1a", "0x1", "1.0", "*1", "1e0", "\t1", "\xff", "１"} {
		all = append(all, script{name: fmt.Sprintf("bad *%q", n), in: "*" + n + "\r\n", want: badMulti, ends: true},
			script{name: fmt.Sprintf("good, then bad *%q", n), in: cmd("ECHO", "a") + cmd("PING") + "*" + n + "\r\n" + cmd("PING"), want: bulk("a") + pong + badMulti, ends: true})
	}
	return append(all,
		script{name: "LF alone does not end the line", in: "*1\n\r\n", want: badMulti, ends: true},
		script{name: "LF alone, then a whole command", in: "*1\n$4\r\nPING\r\n", want: badMulti, ends: true},
		script{name: "a CR and anything ends the line", in: "*1\rX$4\r\rPING\r\n*1\r\x00$4\r\x00PING\r\n", want: pong + pong},
		script{name: "CR CR LF", in: "*1\r\r\n$4\r\n", want: perr + "expected '$', got ' '\r\n", ends: true},
		script{name: "many empty commands", in: strings.Repeat("*0\r\n*-1\r\n", 3000) + cmd("PING") + strings.Repeat("*0\r\n", 2000), want: pong},
		script{name: "a line without end", in: "*" + strings.Repeat("1", 70000), want: bigMulti, ends: true},
		script{name: "a line without end behind a command", in: cmd("PING") + "*1" + strings.Repeat("\n", 70000), want: pong + bigMulti, ends: true},
		script{name: "a long line", in: "*" + strings.Repeat("1", 60000) + "\r\n", want: badMulti, ends: true},
		script{name: "a NUL hides the end of the line", in: "*1\x00\r\n$4\r\nPING\r\n" + strings.Repeat("a", 70000), want: bigMulti, ends: true},
		script{name: "a NUL first", in: "*\x00" + strings.Repeat("\r\n", 35000), want: bigMulti, ends: true},
		script{name: "a million arguments and more", in: "*1048578\r\n" + bulk("DEL") + strings.Repeat("$1\r\nk\r\n", 1048577), want: ":0\r\n", whole: true},
		script{name: "many arguments", in: "*20001\r\n" + bulk("DEL") + strings.Repeat("$1\r\nk\r\n", 20000) + cmd("PING"), want: ":0\r\n" + pong},
	)
}

// bulks are lines that announce an argument.
func bulks() []script {
	var all []script
	for _, n := range []string{"-1", "-2", "536870913", "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551620",
		"99999999999999999999999999999", "-9223372036854775808", "+4", "004", "04", "00", "-0", "-", "", " 4", "4 ", "4a", "0x4", "4.0", "$4", "\n4", "4\n", "\xff"} {
		all = append(all, script{name: fmt.Sprintf("bad $%q", n), in: "*1\r\n$" + n + "\r\n", want: badBulk, ends: true},
			script{name: fmt.Sprintf("good, then bad second $%q", n), in: cmd("ECHO", "a") + "*2\r\n$4\r\nECHO\r\n$" + n + "\r\nPING\r\n" + cmd("PING"), want: bulk("a") + badBulk, ends: true})
	}
	for _, k := range []string{"+", ":", "*", "-", "P", "\n", "\r", " ", "'", "\xff", "\x01", "4"} {
		shown := strings.NewReplacer("\r", " ", "\n", " ").Replace(k)
		want := perr + "expected '$', got '" + shown + "'\r\n"
		all = append(all, script{name: fmt.Sprintf("not a bulk %q", k), in: cmd("PING") + "*2\r\n$4\r\nECHO\r\n" + k + "1\r\n", want: pong + want, ends: true},
			script{name: fmt.Sprintf("not a bulk, a long line %q", k), in: "*1\r\n" + k + "\n1\n" + strings.Repeat("y", 9000) + "\r\n", want: want, ends: true})
	}
	return append(all,
		script{name: "an empty line for a bulk", in: "*1\r\n\r\n", want: perr + "expected '$', got ' '\r\n", ends: true},
		script{name: "LF alone in a bulk line, long", in: cmd("PING") + "*2\r\n$4\r\nECHO\r\n$1\na\n" + strings.Repeat("1\n", 4000) + "\r\n", want: pong + badBulk, ends: true},
		script{name: "a bulk line without end", in: cmd("PING") + "*2\r\n$4\r\nECHO\r\n$" + strings.Repeat("1", 70000), want: pong + bigBulk, ends: true},
		script{name: "a bulk line without end, LFs", in: "*2\r\n$4\r\nECHO\r\n$1" + strings.Repeat("\n", 70000), want: bigBulk, ends: true},
		script{name: "not a bulk, without end", in: "*1\r\nx" + strings.Repeat("a", 70000), want: bigBulk, ends: true},
		script{name: "a NUL for a bulk", in: "*1\r\n\x00" + strings.Repeat("\r\n", 35000), want: bigBulk, ends: true},
		script{name: "a NUL in a bulk line", in: "*1\r\n$4\x00\r\nPING\r\n" + strings.Repeat("a", 70000), want: bigBulk, ends: true},
		script{name: "a long bad bulk line", in: "*1\r\n$" + strings.Repeat("1", 60000) + "\r\n", want: badBulk, ends: true},
	)
}

// payloads are arguments.
func payloads() []script {
	bin := "a\r\nb\x00c$4\r\n*1\r\n\xff\xfe\n"
	large := strings.Repeat("0123456789abcdef", 8000)
	huge := strings.Repeat("0123456789abcde\n", 200000)
	return []script{
		{name: "no CR LF behind a payload", in: "*1\r\n$4\r\nPINGxx*2\r\n$4\r\nECHO\n\r$1\r\na\x00\x00", want: pong + bulk("a")},
		{name: "a payload of CR LF", in: "*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n", want: bulk("\r\n")},
		{name: "empty argument", in: cmd("ECHO", ""), want: bulk("")},
		{name: "empty name", in: cmd(""), want: unknownOnly("")},
		{name: "a name of NUL", in: cmd("\x00"), want: unknownOnly("")},
		{name: "any bytes", in: cmd("ECHO", bin) + cmd("ECHO", bin), want: bulk(bin) + bulk(bin)},
		{name: "128 kB", in: cmd("ECHO", large) + cmd("PING") + cmd("ECHO", large), want: bulk(large) + pong + bulk(large)},
		{name: "3 MB", in: cmd("PING") + cmd("ECHO", huge) + cmd("PING"), want: pong + bulk(huge) + pong},
		{name: "set and get 3 MB", in: cmd("SET", "huge", huge) + cmd("GET", "huge") + cmd("DEL", "huge"), want: okay + bulk(huge) + ":1\r\n"},
		{name: "pipeline", in: strings.Repeat(cmd("PING"), 3000), want: strings.Repeat(pong, 3000)},
		{name: "pipeline of all sizes", in: staircase(400, func(w string) string { return cmd("ECHO", w) }), want: staircase(400, bulk)},
	}
}

func staircase(n int, f func(string) string) string {
	var sb strings.Builder
	for i := range n {
		sb.WriteString(f(strings.Repeat("x", i)))
	}
	return sb.String()
}

// orders are good commands before bad ones, and changes between the two kinds of request.
func orders() []script {
	return []script{
		{name: "good before bad", in: cmd("SET", "g", "1") + cmd("GET", "g") + "*1\r\n$x\r\n" + cmd("SET", "g", "2"), want: okay + bulk("1") + badBulk, ends: true},
		{name: "what stood behind the bad one was not executed", in: cmd("GET", "g"), want: bulk("1")},
		{name: "a command that never comes whole", in: cmd("SET", "h", "1") + "*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$x\r\n", want: okay + badBulk, ends: true},
		{name: "is not executed", in: cmd("GET", "h"), want: bulk("1")},
		{name: "inline, then RESP", in: "PING\r\n" + cmd("ECHO", "a") + "ECHO b\n" + cmd("PING") + "\r\n\r\n", want: pong + bulk("a") + bulk("b") + pong},
		{name: "RESP, then bad inline", in: cmd("PING") + "ECHO \"a\r\n" + cmd("PING"), want: pong + badQuotes, ends: true},
		{name: "inline, then bad RESP", in: "PING\r\nECHO x\r\n*a\r\n", want: pong + bulk("x") + badMulti, ends: true},
		{name: "many inline, then bad", in: strings.Repeat("PING\r\n", 2000) + "'\r\nPING\r\n", want: strings.Repeat(pong, 2000) + badQuotes, ends: true},
		{name: "bulk where a command begins", in: "$4\r\nPING\r\n", want: unknownOnly("$4") + pong},
		{name: "errors of commands do not end it", in: cmd("FOO") + cmd("GET") + cmd("PING"), want: unknownOnly("FOO") + "-ERR wrong number of arguments for 'get' command\r\n" + pong},
	}
}

// inlines are requests in words.
func inlines() []script {
	var all []script
	for _, row := range [][2]string{
		{"PING\r\n", pong}, {"PING\n", pong}, {"\r\nPING\r\n", pong}, {"\n\n\nPING\n", pong}, {" \t PING\r\n", pong}, {"PING\t \r\n", pong}, {"PING\r\r\n", pong},
		{"ECHO\ta\r\n", bulk("a")}, {"ECHO a\\b\\x41\r\n", bulk("a\\b\\x41")}, {"PING\rPING\n", bulk("PING")},
		{"ECHO \"a b\"\r\n", bulk("a b")}, {"ECHO a\"b c\"\r\n", bulk("ab c")}, {"ECHO a'b c'\r\n", bulk("ab c")}, {"ECHO \"\"\r\n", bulk("")}, {"ECHO ''\r\n", bulk("")},
		{`ECHO "\x41\x4a\x4A\xzz\x4\n\r\t\b\a\q\\\"'"` + "\r\n", bulk("AJJxzzx4\n\r\t\b\aq\\\"'")},
		{`ECHO "\x00\xfF\x0d\x0a"` + "\r\n", bulk("\x00\xff\r\n")},
		{`ECHO 'it\'s \n \x41 \\ "'` + "\r\n", bulk(`it's \n \x41 \\ "`)},
		{`"ECHO" 'a'` + "\r\n", bulk("a")}, {"\"\"\r\n", unknownOnly("")}, {"'PING'\n", pong}, {"P'ING'\n", pong}, {"echo hi\n", bulk("hi")},
		{"ECHO a\vb\r\n", bulk("a\vb")}, {"ECHO a\fb\r\n", bulk("a\fb")}, {"\vPING\r\n", pong}, {"\fPING \f\r\n", pong}, {"PING\v\r\n", unknownOnly("PING\v")},
		{"ECHO \"a\"\v\r\n", bulk("a")}, {"ECHO 'a'\f\r\n", bulk("a")}, {"ECHO \x80\xff\xa0\x85\r\n", bulk("\x80\xff\xa0\x85")},
		{"+PING\r\n", unknownOnly("+PING")}, {"\xff\xf4\xff\xfd\x06\r\n", unknownOnly("\xff\xf4\xff\xfd\x06")}, {" \r\n\t\n\v\n \f \r\n", ""},
		{"ECHO \"a\r\" \n", bulk("a\r")}, {"PING \x01\r\n", bulk("\x01")}, {"ECHO #\r\n", bulk("#")},
		{"ECHO " + strings.Repeat("a", 60000) + "\r\n", bulk(strings.Repeat("a", 60000))},
		{"DEL" + strings.Repeat(" k", 30000) + "\r\n", ":0\r\n"},
		{strings.Repeat("\r\n", 40000), ""}, {strings.Repeat("ECHO abcdefgh\r\n", 2000), strings.Repeat(bulk("abcdefgh"), 2000)},
	} {
		all = append(all, script{name: fmt.Sprintf("inline %.40q", row[0]), in: row[0], want: row[1]})
	}
	for _, line := range []string{`ECHO "a`, `ECHO 'a`, `ECHO "a"b`, `ECHO 'a'b`, `ECHO a"b c"d`, `ECHO "a\"`, `ECHO "a\`, `ECHO 'a\'`, `"`, `'`, `ECHO "a""b"`, `ECHO "\x4`, "ECHO \"a\"\x01"} {
		all = append(all, script{name: fmt.Sprintf("quotes %q", line), in: line + "\r\n", want: badQuotes, ends: true})
	}
	return append(all,
		script{name: "inline without end", in: strings.Repeat("a", 70000), want: bigInline, ends: true},
		script{name: "inline of blanks without end", in: strings.Repeat(" ", 70000), want: bigInline, ends: true},
		script{name: "a NUL hides the end of an inline request", in: "PING\x00\r\n" + strings.Repeat("PING\r\n", 12000), want: bigInline, ends: true},
		script{name: "a NUL begins an inline request", in: cmd("PING") + "\x00" + strings.Repeat("\n", 70000), want: pong + bigInline, ends: true},
	)
}

// unauthenticated are clients that have given no password.
func unauthenticated() []script {
	long, longer := strings.Repeat("x", 16384), strings.Repeat("x", 16385)
	many := cmd(strings.Split("DEL"+strings.Repeat(" k", 10), " ")...)
	ten := cmd(strings.Split("DEL"+strings.Repeat(" k", 9), " ")...)
	auth, wrong := cmd("AUTH", "secret"), cmd("AUTH", "x")
	all := []script{
		{name: "11 arguments", in: many, want: unauthLen, ends: true},
		{name: "a number of arguments alone", in: "*11\r\n", want: unauthLen, ends: true},
		{name: "too many arguments for anybody", in: "*2147483648\r\n", want: badMulti, ends: true},
		{name: "a million arguments", in: "*1048577\r\n", want: unauthLen, ends: true},
		{name: "2^31-1 arguments", in: "*2147483647\r\n", want: unauthLen, ends: true},
		{name: "10 arguments", in: ten, want: noAuthYet},
		{name: "16385 bytes", in: "*1\r\n$16385\r\n", want: unauthArg, ends: true},
		{name: "16385 bytes, whole", in: cmd("ECHO", longer), want: unauthArg, ends: true},
		{name: "16384 bytes", in: cmd("ECHO", long), want: noAuthYet},
		{name: "10 arguments of 16384 bytes", in: cmd("DEL", long, long, long, long, long, long, long, long, long), want: noAuthYet},
		{name: "too many bytes for anybody", in: "*1\r\n$536870913\r\n", want: badBulk, ends: true},
		{name: "AUTH, then more than a stranger may", in: auth + many + cmd("ECHO", longer), want: okay + ":0\r\n" + bulk(longer)},
		{name: "wrong AUTH, then more", in: wrong + cmd("PING") + many, want: wrongPass + noAuthYet + unauthLen, ends: true},
		{name: "PING, AUTH, more", in: cmd("PING") + auth + cmd("PING") + many, want: noAuthYet + okay + pong + ":0\r\n"},
		{name: "AUTH inline, then more", in: "AUTH secret\r\n" + many, want: okay + ":0\r\n"},
		{name: "AUTH default, then more inline", in: cmd("AUTH", "default", "secret") + "PING\r\nDEL" + strings.Repeat(" k", 20) + "\r\n", want: okay + pong + ":0\r\n"},
		{name: "an inline request may have more words", in: "DEL" + strings.Repeat(" k", 20) + "\r\n", want: noAuthYet},
		{name: "RESET makes a stranger", in: auth + many + cmd("RESET") + cmd("PING") + many, want: okay + ":0\r\n+RESET\r\n" + noAuthYet + unauthLen, ends: true},
		{name: "inline RESET makes a stranger", in: "AUTH secret\r\nPING\r\nreset\r\n" + many, want: okay + pong + "+RESET\r\n" + unauthLen, ends: true},
		{name: "AUTH, then bad", in: auth + "*x\r\n", want: okay + badMulti, ends: true},
		{name: "AUTH again and wrong", in: auth + wrong + many, want: okay + wrongPass + ":0\r\n"},
		{name: "stranger: POST", in: "POST / HTTP/1.1\r\nHost: x\r\n\r\n", ends: true},
		{name: "stranger: QUIT", in: cmd("QUIT"), want: okay, ends: true},
		{name: "stranger: unknown", in: cmd("FOO"), want: unknownOnly("FOO")},
		{name: "stranger: many small commands", in: strings.Repeat(cmd("PING"), 400), want: strings.Repeat(noAuthYet, 400)},
		{name: "stranger: many inline commands", in: strings.Repeat("PING\n", 400), want: strings.Repeat(noAuthYet, 400)},
	}
	for i := range all {
		all[i].pass = true
	}
	return all
}

// endings are connections that end without an error.
func endings() []script {
	return []script{
		{name: "QUIT and more", in: cmd("PING") + cmd("QUIT") + cmd("PING") + cmd("SET", "q", "1"), want: pong + okay, ends: true},
		{name: "the rest was not executed", in: cmd("GET", "q"), want: "$-1\r\n"},
		{name: "QUIT inline and more", in: "PING\r\nQUIT\r\nPING\r\n", want: pong + okay, ends: true},
		{name: "QUIT and bad", in: cmd("QUIT") + "*x\r\n", want: okay, ends: true},
		{name: "POST", in: "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 12\r\n\r\nSET p 1\r\n", ends: true},
		{name: "post in any case", in: "pOsT /\r\n", ends: true},
		{name: "Host:", in: "Host: 127.0.0.1\r\nSET p 1\r\n", ends: true},
		{name: "a header before Host:", in: "GET / HTTP/1.1\r\nhOST: a\r\nSET p 1\r\n", ends: true, whole: true},
		{name: "POST as RESP", in: cmd("POST") + cmd("SET", "p", "1"), ends: true},
		{name: "host: as RESP", in: cmd("host:", "a", "b"), ends: true},
		{name: "PING before POST", in: "PING\r\nPOST /\r\n", ends: true, whole: true},
		{name: "nothing was set", in: cmd("GET", "p"), want: "$-1\r\n"},
		{name: "Host without a colon", in: "Host 1\r\n", want: "-ERR unknown command 'Host', with args beginning with: '1' \r\n"},
		{name: "CLIENT REPLY", in: cmd("CLIENT", "REPLY", "OFF") + cmd("PING") + "*0\r\n" + cmd("CLIENT", "REPLY", "ON") + cmd("CLIENT", "REPLY", "SKIP") + cmd("PING") + cmd("ECHO", "x"), want: okay + bulk("x")},
	}
}
