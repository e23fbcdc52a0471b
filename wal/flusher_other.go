//go:build !linux

package wal

import "errors"

// flusher exists on Linux only.
type flusher struct{}

func newFlusher() (*flusher, error) { return nil, errors.ErrUnsupported }

func (*flusher) sync(string) error { return errors.ErrUnsupported }

func (*flusher) forget() error { return nil }

func (*flusher) close() error { return nil }
