package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
			err = serveWithPid(cmd.Context(), set, log)
			if err != nil {
				log.Error("stopped", "error", err)
			} else {
				log.Info("stopped")
			}
			return errors.Join(err, closeLog())
		},
	}
	for _, s := range config.Table() {
		cmd.Flags().String(s.Name(), s.Default(), s.Doc())
		if s.Doc() == "" {
			_ = cmd.Flags().MarkHidden(s.Name()) // the flag was defined one line above
		}
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			return unknownSetting("flag --"+unknown.GetSpecifiedName(), unknown.GetSpecifiedName())
		}
		return err
	})
	return cmd
}

// serveWithPid is serve while the pid file names this process. The file is written once the node has its directory and
// ports, so that a second start by mistake leaves the first one's file alone.
func serveWithPid(ctx context.Context, set *config.Settings, log *slog.Logger) error {
	name := set.Get("pidfile")
	err := serve(ctx, set, log, func() error { return writePid(name) })
	return errors.Join(err, removePid(name))
}

// loadSettings reads file, environment and flags, the weakest first.
func loadSettings(flags *pflag.FlagSet, environ, args []string) (*config.Settings, error) {
	set := config.New()
	if len(args) == 1 {
		if err := loadFile(set, args[0]); err != nil {
			return nil, err
		}
	}
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		name, ok := strings.CutPrefix(key, "KVAPP_")
		if !ok {
			continue
		}
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if err := apply(set, "environment variable "+key, name, value); err != nil {
			return nil, err
		}
	}
	var err error
	flags.Visit(func(f *pflag.Flag) {
		if err == nil && f.Name != "help" {
			err = apply(set, "flag --"+f.Name, f.Name, f.Value.String())
		}
	})
	return set, err
}

func apply(set *config.Settings, source, name, value string) error {
	err := set.Set(name, value)
	if errors.Is(err, config.ErrUnknown) {
		return unknownSetting(source, name)
	}
	var bad *config.Error
	if errors.As(err, &bad) {
		return fmt.Errorf("%s = %q: %w", source, value, bad.Err)
	}
	return err
}

func unknownSetting(source, name string) error {
	if near := config.Suggest(name); near != "" {
		return fmt.Errorf("%s: unknown setting, did you mean %q?", source, near)
	}
	return fmt.Errorf("%s: unknown setting", source)
}

// loadFile reads the syntax of redis.conf: one setting a line, # comments, "quoted" values.
func loadFile(set *config.Settings, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		value = strings.TrimSpace(value)
		if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		if err := apply(set, fmt.Sprintf("%s line %d: %s", name, n, key), key, value); err != nil {
			return err
		}
	}
	return lines.Err()
}
