package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
	"kvapp/raft"
)

func logger(t *testing.T, out *bytes.Buffer, pairs ...string) (*slog.Logger, *config.Settings, func() error) {
	t.Helper()
	set := config.New()
	for i := 0; i < len(pairs); i += 2 {
		require.NoError(t, set.Set(pairs[i], pairs[i+1]))
	}
	log, closeLog, err := newLogger(set, out)
	require.NoError(t, err)
	return log, set, closeLog
}

// Redis' shape: pid, colon, role letter, time, level mark, then the event and its fields.
func TestLogLines(t *testing.T) {
	var out bytes.Buffer
	log, _, _ := logger(t, &out, "loglevel", "debug")
	pid := strconv.Itoa(os.Getpid())
	logRole(raft.Follower)
	log.Info("leader_elected", "term", 7, "took", 183*time.Millisecond)
	require.Regexp(t, `^`+pid+`:F \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} \* leader_elected term=7 took=183ms\n$`, out.String())
	for _, c := range []struct {
		role  raft.Role
		level slog.Level
		want  string
	}{
		{raft.Leader, slog.LevelDebug, pid + `:L .* \. x$`},
		{raft.Candidate, slog.LevelDebug + 2, pid + `:C .* - x$`},
		{raft.PreCandidate, slog.LevelInfo, pid + `:C .* \* x$`},
		{raft.Follower, slog.LevelWarn, pid + `:F .* # x$`},
		{raft.Follower, slog.LevelError, pid + `:F .* # x$`},
	} {
		out.Reset()
		logRole(c.role)
		log.Log(t.Context(), c.level, "x")
		require.Regexp(t, "^"+c.want, strings.TrimSuffix(out.String(), "\n"))
	}
	logRole(raft.Follower)
}

func TestLogFieldsAreOneWordEach(t *testing.T) {
	var out bytes.Buffer
	log, _, _ := logger(t, &out)
	log.With("node", "n1").WithGroup("g").Warn("fsync_slow", "error", errors.New("disk \"a\"\nfull"), "empty", "", "eq", "a=b", "n", 3)
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "an event is one line")
	require.True(t, strings.HasSuffix(out.String(), ` # fsync_slow node=n1 error="disk \"a\"\nfull" empty="" eq="a=b" n=3`+"\n"), out.String())
}

func TestLogLevelMayChange(t *testing.T) {
	var out bytes.Buffer
	log, set, _ := logger(t, &out)
	log.Debug("hidden")
	require.Empty(t, out.String())
	require.NoError(t, set.SetMany([][2]string{{"loglevel", "debug"}}))
	log.Debug("seen")
	require.Contains(t, out.String(), "seen")
	require.NoError(t, set.SetMany([][2]string{{"loglevel", "warning"}}))
	out.Reset()
	log.Info("hidden")
	require.Empty(t, out.String())
	log.Warn("seen")
	require.Contains(t, out.String(), "seen")
}

func TestLogFormats(t *testing.T) {
	var out bytes.Buffer
	log, _, _ := logger(t, &out, "log-format", "json")
	log.Info("member_added", "node", "n4")
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "member_added", line["msg"])
	require.Equal(t, "n4", line["node"])
	out.Reset()
	log, _, _ = logger(t, &out, "log-format", "logfmt")
	log.Info("member_added", "node", "n4")
	require.Contains(t, out.String(), "level=INFO msg=member_added node=n4\n")
}

func TestLogFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "new", "dir", "kvapp.log")
	for range 2 { // a second start appends
		log, _, closeLog := logger(t, nil, "logfile", name)
		log.Info("serving")
		require.NoError(t, closeLog())
	}
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(b), " * serving\n"))

	set := config.New()
	require.NoError(t, set.Set("logfile", t.TempDir())) // a directory
	_, _, err = newLogger(set, nil)
	require.ErrorContains(t, err, "logfile: ")
	require.NoError(t, set.Set("logfile", filepath.Join(name, "below", "a-file")))
	_, _, err = newLogger(set, nil)
	require.ErrorContains(t, err, "logfile: ")
}

func TestPidFile(t *testing.T) {
	require.NoError(t, writePid(""))
	require.NoError(t, removePid(""))
	name := filepath.Join(t.TempDir(), "run", "kvapp.pid")
	require.NoError(t, removePid(name), "never written")
	require.NoError(t, writePid(name))
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(os.Getpid())+"\n", string(b))
	pid, err := readPid(name)
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), pid)
	require.NoError(t, removePid(name))
	require.NoFileExists(t, name)

	// What another process wrote stays.
	require.NoError(t, os.WriteFile(name, []byte("1\n"), 0o600))
	require.NoError(t, removePid(name))
	require.FileExists(t, name)
	require.NoError(t, os.WriteFile(name, []byte("no pid"), 0o600))
	_, err = readPid(name)
	require.Error(t, err)
	require.ErrorContains(t, writePid(t.TempDir()), "pidfile: ")
	require.ErrorContains(t, writePid(filepath.Join(name, "x", "y")), "pidfile: ")
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	cmd := rootCommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"version"})
	require.NoError(t, cmd.Execute())
	require.Regexp(t, `^kvapp `+version+` \(go1\.\d+.*, \w+/\w+\)\n$`, out.String())
	cmd.SetArgs([]string{"version", "x"})
	require.Error(t, cmd.Execute())
	cmd.SetArgs([]string{"sever"})
	require.ErrorContains(t, cmd.Execute(), `unknown command "sever"`)
}
