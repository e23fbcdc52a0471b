package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"kvapp/internal/config"
	"kvapp/raft"
)

// roleLetter stands in every log line: L leader, F follower, C candidate.
var roleLetter atomic.Int32

// logRole follows the node's role; loop goroutine.
func logRole(r raft.Role) {
	letter := 'C'
	switch r {
	case raft.Leader:
		letter = 'L'
	case raft.Follower:
		letter = 'F'
	}
	roleLetter.Store(letter)
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "verbose": slog.LevelDebug + 2, "notice": slog.LevelInfo, "warning": slog.LevelWarn,
}

// newLogger opens the log that the settings ask for. close flushes nothing: lines are written whole, at once.
func newLogger(set *config.Settings, stdout io.Writer) (log *slog.Logger, closeLog func() error, err error) {
	w, closeLog := stdout, func() error { return nil }
	if name := set.Get("logfile"); name != "" {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, nil, fmt.Errorf("logfile: %w", err)
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, nil, fmt.Errorf("logfile: %w", err)
		}
		w, closeLog = f, f.Close
	}
	level := new(slog.LevelVar)
	level.Set(logLevels[set.Get("loglevel")])
	set.OnChange(func(name string) {
		if name == "loglevel" {
			level.Set(logLevels[set.Get("loglevel")])
		}
	})
	switch opt := (&slog.HandlerOptions{Level: level}); set.Get("log-format") {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opt)), closeLog, nil
	case "logfmt":
		return slog.New(slog.NewTextHandler(w, opt)), closeLog, nil
	}
	roleLetter.CompareAndSwap(0, 'F')
	return slog.New(&lineHandler{w: w, level: level, mu: new(sync.Mutex), pid: os.Getpid()}), closeLog, nil
}

// lineHandler prints Redis' shape of a log line, so that what parses Redis' logs parses these, followed by logfmt:
//
//	12345:L 23 Nov 2026 10:31:17.123 * leader_elected term=7
type lineHandler struct {
	w     io.Writer
	mu    *sync.Mutex
	level slog.Leveler
	pid   int
	attrs string
}

// Enabled implements slog.Handler.
func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	mark := byte('*')
	switch {
	case r.Level >= slog.LevelWarn:
		mark = '#'
	case r.Level < slog.LevelDebug+2:
		mark = '.'
	case r.Level < slog.LevelInfo:
		mark = '-'
	}
	fmt.Fprintf(&b, "%d:%c %s %c %s%s", h.pid, roleLetter.Load(), r.Time.Format("02 Jan 2006 15:04:05.000"), mark, r.Message, h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b.Bytes())
	return err
}

func appendAttr(b *bytes.Buffer, a slog.Attr) {
	v := a.Value.Resolve().String()
	if v == "" || strings.ContainsAny(v, " \t\n\"=") {
		v = strconv.Quote(v)
	}
	fmt.Fprintf(b, " %s=%s", a.Key, v)
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b bytes.Buffer
	for _, a := range attrs {
		appendAttr(&b, a)
	}
	c := *h
	c.attrs += b.String()
	return &c
}

// WithGroup implements slog.Handler; groups are not shown.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }
