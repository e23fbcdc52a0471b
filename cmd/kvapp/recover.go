package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kvapp/internal/recovery"
	"kvapp/wal"
)

func recoverCommand() *cobra.Command {
	var dir, line string
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover --dir DIR",
		Short: "Make a new cluster of what is left, when a majority of the disks is lost",
		Long: "Make a new cluster of what is left, when a majority of the disks is lost for good.\n\n" +
			"Without an answer it only shows what DIR holds: run it on every node that is left, and compare. The node must not run.\n" +
			"Run it as the user that the node runs as. After a crash in the middle, run it again: DIR is as it was, or it is done.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return recoverDir(cmd.Context(), dir, line, yes, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the node")
	cmd.Flags().StringVar(&line, "survivors", "", "positions of all nodes that are left, the same on each: as printed, n1:...,n2:...; without it, this node alone")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// recoverDir shows what dir holds and, when that is wished, makes it the log of a new cluster. The end of ctx is a no to the
// question.
func recoverDir(ctx context.Context, dir, line string, yes bool, in io.Reader, out io.Writer) (err error) {
	if dir == "" {
		return errors.New("--dir is missing: the directory of the node to recover")
	}
	if err := checkOwner(dir, os.Geteuid()); err != nil {
		return err
	}
	log, rec, err := wal.Open(dir, wal.Identity{}, wal.Options{})
	if errors.Is(err, wal.ErrLocked) {
		return fmt.Errorf("the node is running: stop it first (%w)", err)
	}
	if err != nil {
		return err
	}
	defer func() {
		if closed := log.Close(); err == nil {
			err = closed
		}
	}()
	if err := checkBeside(dir); err != nil {
		return err
	}
	r, err := recovery.New(rec, log.Last(), line)
	if err != nil {
		return err
	}
	r.Show(out)
	if err := r.Check(); err != nil {
		return err
	}
	r.Warn(out)
	if !yes {
		if err := confirm(ctx, rec.Identity.Name, in, out); err != nil {
			return err
		}
	}
	snaps, err := wal.OpenSnapshots(dir)
	if err == nil {
		err = snaps.DropAbove(rec.Snapshot.Meta.Index) // the lost leader's, perhaps: the new cluster goes another way
	}
	if err != nil {
		return err
	}
	cluster, hard, entry := r.Plan()
	if err := log.Refound(cluster, hard, entry); err != nil {
		return err
	}
	fmt.Fprintf(out, "recovered   %s is in cluster %s now, of %s. Start it as before.\n", rec.Identity.Name, cluster, r.Names())
	return nil
}

// checkOwner refuses the directory of another user: a file that root makes there, its node could not open any more.
func checkOwner(dir string, uid int) error {
	owner, err := wal.Owner(dir)
	if err == nil && owner != uid {
		err = fmt.Errorf("%s belongs to user %d, and this is user %d: run it as the user that the node runs as", dir, owner, uid)
	}
	return err
}

// checkBeside looks at what a node reads at its start beside the log: who finds damage there only then has no way back.
func checkBeside(dir string) error {
	o, err := readOrigin(dir)
	if err == nil && o.aside != 0 {
		err = fmt.Errorf("a change of %s is not finished: start the node once", dir)
	}
	if err != nil {
		return err
	}
	if _, err := wal.Verify(dir); err != nil { // reads the snapshot, which Open does not
		return err
	}
	_, err = wal.OpenRegistry(dir)
	return err
}

var errUnchanged = errors.New("nothing was changed")

// confirm waits for the node's name. An interrupt ends ctx, not the process: who answers with that means no.
func confirm(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	fmt.Fprintf(out, "\nType %s to go on: ", name)
	said := make(chan error, 1)
	go func() { // it waits for in as long as the process lives, if nobody answers
		answer, err := bufio.NewReader(in).ReadString('\n')
		switch {
		case strings.TrimSpace(answer) == name:
			err = nil
		case err == nil || err == io.EOF:
			err = errUnchanged
		default:
			err = fmt.Errorf("read the answer: %w", err)
		}
		said <- err
	}()
	var err error
	select {
	case err = <-said:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		err = errUnchanged
	}
	fmt.Fprintln(out)
	return err
}
