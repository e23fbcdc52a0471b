package resp

import (
	"errors"
	"strings"

	"kvapp/internal/config"
)

func configGet(c *conn, args [][]byte) {
	seen := make(map[string]bool)
	var found [][2]string
	for _, arg := range args[2:] {
		word := string(arg)
		matches := c.srv.settings.Match(word)
		if !strings.ContainsAny(word, "[*?") { // a name, which is answered as it was spelled
			matches = nil
			if c.srv.settings.Known(word) {
				matches = [][2]string{{word, c.srv.settings.Get(word)}}
			}
		}
		for _, kv := range matches {
			if key := strings.ToLower(kv[0]); !seen[key] {
				seen[key] = true
				found = append(found, kv)
			}
		}
	}
	c.out.Map(len(found))
	for _, kv := range found {
		c.pair(kv[0], kv[1])
	}
}

func configSet(c *conn, args [][]byte) {
	if len(args)%2 != 0 {
		c.out.Error(errSyntax)
		return
	}
	pairs := make([][2]string, 0, len(args)/2-1)
	for i := 2; i < len(args); i += 2 {
		pairs = append(pairs, [2]string{string(args[i]), string(args[i+1])})
	}
	if err := c.srv.settings.SetMany(pairs); err != nil {
		c.out.Error(oneLine(settingError(err)))
		return
	}
	for _, kv := range pairs {
		c.srv.log.Info("config_set", "name", kv[0], "client", c.state.addr) // never the value: it may be a password
	}
	c.out.Simple("OK")
}

// settingError is the reply to a change that failed.
func settingError(err error) string {
	var e *config.Error
	switch {
	case !errors.As(err, &e):
		return "ERR CONFIG SET failed - " + err.Error()
	case errors.Is(err, config.ErrUnknown):
		return "ERR Unknown option or number of arguments for CONFIG SET - '" + e.Name + "'"
	default:
		return "ERR CONFIG SET failed (possibly related to argument '" + e.Name + "') - " + e.Err.Error()
	}
}

func configResetStat(c *conn, _ [][]byte) {
	c.srv.resetStats()
	c.out.Simple("OK")
}

func configHelp(c *conn, _ [][]byte) {
	c.help("CONFIG",
		"GET <pattern> [<pattern> ...]", "    Answers the settings that match a pattern.",
		"SET <name> <value> [<name> <value> ...]", "    Changes settings, all or none.",
		"RESETSTAT", "    Sets the counters of INFO to zero.")
}
