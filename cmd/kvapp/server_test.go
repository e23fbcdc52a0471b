package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
)

// settings runs `kvapp server` with a command line and an environment up to the point where it would serve.
func settings(t *testing.T, env []string, args ...string) (*config.Settings, error) {
	t.Helper()
	var set *config.Settings
	cmd := serverCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		set, err = loadSettings(cmd.Flags(), env, args)
		return err
	}
	cmd.SetArgs(args)
	err := cmd.Execute()
	return set, err
}

func confFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kvapp.conf")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func TestPrecedence(t *testing.T) {
	file := confFile(t, "maxclients 30\ntimeout 30\nport 30\n")
	env := []string{"KVAPP_MAXCLIENTS=20", "KVAPP_TIMEOUT=20", "PATH=/bin", "KVAPPX=1"}
	set, err := settings(t, env, file, "--maxclients", "10")
	require.NoError(t, err)
	require.EqualValues(t, 10, set.Int("maxclients"), "flag over environment")
	require.EqualValues(t, 20, set.Int("timeout"), "environment over file")
	require.EqualValues(t, 30, set.Int("port"), "file over default")
	require.EqualValues(t, 300, set.Int("tcp-keepalive"), "default")
	// A flag with the default's value is still a flag.
	set, err = settings(t, env, file, "--maxclients", "10000")
	require.NoError(t, err)
	require.EqualValues(t, 10000, set.Int("maxclients"))
}

func TestUnknownSettingStopsTheStart(t *testing.T) {
	_, err := settings(t, nil, "--max-clients", "1")
	require.EqualError(t, err, `flag --max-clients: unknown setting, did you mean "maxclients"?`)
	_, err = settings(t, []string{"KVAPP_REQUIRE_PASS=x"})
	require.EqualError(t, err, `environment variable KVAPP_REQUIRE_PASS: unknown setting, did you mean "requirepass"?`)
	file := confFile(t, "# first\n\nport 7001\nProtectedMode no\n")
	_, err = settings(t, nil, file)
	require.EqualError(t, err, file+` line 4: ProtectedMode: unknown setting, did you mean "protected-mode"?`)
	_, err = settings(t, nil, "--something-else-entirely", "1")
	require.EqualError(t, err, `flag --something-else-entirely: unknown setting`)
}

func TestBadValueNamesItsSource(t *testing.T) {
	_, err := settings(t, nil, "--port", "70000")
	require.EqualError(t, err, `flag --port = "70000": argument must be between 0 and 65535 inclusive`)
	_, err = settings(t, []string{"KVAPP_READ_MODE=stale"})
	require.EqualError(t, err, `environment variable KVAPP_READ_MODE = "stale": argument(s) must be one of the following: lease, quorum`)
	file := confFile(t, "\nprotected-mode perhaps\n")
	_, err = settings(t, nil, file)
	require.EqualError(t, err, file+` line 2: protected-mode = "perhaps": argument must be 'yes' or 'no'`)
	_, err = settings(t, nil, filepath.Join(t.TempDir(), "none.conf"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = settings(t, nil, "one.conf", "two.conf")
	require.Error(t, err)
	// A broken environment is not hidden by a flag: the next start without the flag would fail.
	_, err = settings(t, []string{"KVAPP_PORT=x"}, "--port", "7001")
	require.ErrorContains(t, err, "KVAPP_PORT")
}

func TestEverySettingIsAFlagAndAnEnvironmentVariable(t *testing.T) {
	cmd := serverCommand()
	for _, name := range config.Names() {
		f := cmd.Flags().Lookup(name)
		require.NotNil(t, f, name)
		require.Equal(t, config.Lookup(name).Default(), f.DefValue, name)
		require.Equal(t, config.Lookup(name).Doc() == "" || config.Lookup(name).Name() != name, f.Hidden, name)
	}
	set, err := settings(t, []string{"KVAPP_SERVER_CPULIST=0-1", "KVAPP_RAFT_ELECTION_MS=1000"}, "--lua-time-limit", "7")
	require.NoError(t, err)
	require.Equal(t, "0-1", set.Get("server_cpulist"))
	require.EqualValues(t, 1000, set.Int("raft-election-ms"))
	require.EqualValues(t, 7, set.Int("busy-reply-threshold"))
}

func TestSafeDefaults(t *testing.T) {
	set, err := settings(t, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1"}, set.Words("bind"))
	require.True(t, set.Bool("protected-mode"))
	require.Equal(t, "lease", set.Get("read-mode"))
	require.Empty(t, set.Ignored())
}
