package fsm

// Tx is the context of one command in execution.
type Tx struct{}

// Store is the keyspace.
type Store struct{}
