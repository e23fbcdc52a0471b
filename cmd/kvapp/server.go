package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kvapp/internal/config"
)

// serverCommand runs one node. Every setting is a flag; flag > environment > file > default.
func serverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "server [FILE]",
		Short: "Run one node",
		Long: "Run one node. Settings come from flags, from KVAPP_NAME environment variables (dashes become underscores)\n" +
			"and from FILE in the syntax of redis.conf, in that order of precedence.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := loadSettings(cmd.Flags(), os.Environ(), args)
			if err != nil {
				return err
			}
			log, closeLog, err := newLogger(set, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			if list := set.Ignored(); len(list) > 0 {
				log.Warn("settings_ignored", "reason", "they have no effect on this server", "names", strings.Join(list, ","))
			}
			err = serveWithPid(cmd.Context(), set, log)
			if err != nil {
				log.Error("stopped", "error", err)
			} else {
				log.Info("stopped")
			}
			return errors.Join(err, closeLog())
		},
	}
	for _, name := range config.Names() {
		s := config.Lookup(name)
		cmd.Flags().String(name, s.Default(), s.Doc())
		cmd.Flags().Lookup(name).Hidden = s.Doc() == "" || name != s.Name()
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			return config.Unknown("flag --"+unknown.GetSpecifiedName(), unknown.GetSpecifiedName())
		}
		return err
	})
	return cmd
}

// serveWithPid is serve while the pid file names this process. The file is written once the node has its directory and
// ports, so that a second start by mistake leaves the first one's file alone.
func serveWithPid(ctx context.Context, set *config.Settings, log *slog.Logger) error {
	name, opened := set.Get("pidfile"), false
	err := serve(ctx, set, log, func() error {
		opened = true
		return writePid(name)
	})
	if opened {
		err = errors.Join(err, removePid(name))
	}
	return err
}

// loadSettings reads file, environment and flags, the weakest first.
func loadSettings(flags *pflag.FlagSet, environ, args []string) (*config.Settings, error) {
	set := config.New()
	if len(args) == 1 {
		if err := set.LoadFile(args[0]); err != nil {
			return nil, err
		}
	}
	if err := set.LoadEnv(environ); err != nil {
		return nil, err
	}
	var err error
	flags.Visit(func(f *pflag.Flag) {
		if err == nil && f.Name != "help" {
			err = set.Assign("flag --"+f.Name, f.Name, f.Value.String())
		}
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}
