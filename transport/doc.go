// Package transport carries Raft messages and snapshot files between the nodes of a cluster.
//
// It owns the peer port, every connection to and from other nodes, the queues in front of them, and the wire format.
// It knows nothing of what the messages mean, and it promises nothing: messages may be lost, repeated by the sender
// and, across two connections, overtake each other. Raft is made for that. What it does promise is below.
//
// # Goroutines
//
//	goroutine                   owns                                 ends when
//	sender, one per peer        the peer's outbound connection       the peer is removed, Close
//	watcher, one per sender's   a blocked read, to notice at once    the connection ends
//	  connection                that the peer went away
//	acceptor                    the listener                         Close
//	reader, one per inbound     its connection; calls Deliver,       the connection ends
//	  connection                Admit, ReceiveSnapshot
//	stream, one per snapshot    its connection and file              verdict, error, peer removed, Close
//	  under way
//	reporter                    calls Unreachable                    Close
//
// Connections for messages are one-way: the sender of A dials B and writes; B answers over the connection that B's own
// sender has to A. So each side alone decides when to connect again, and neither has to agree on who keeps which of
// two crossing connections. A node that sends messages and is no peer is a guest as long as it does: it is called back at
// the address that it names. So a leader is answered by those whose membership does not list it, because it was added while
// they were away, or is just being removed.
//
// # Invariants
//
//   - Send never blocks, never allocates in the steady state, and wakes a sender at most once per call. While the sender
//     sleeps Send writes to the socket itself, as much as that takes at once.
//   - A queue holds at most 4,096 messages and 64 MB of entries (a larger single entry goes alone). A quarter of the
//     slots is kept for messages without entries.
//   - Messages from one sender to one peer arrive in order within one connection.
//   - Deliver sees only bytes whose checksum was right, from a node of this cluster whose incarnation Admit let in and no
//     other has replaced since. What is turned away is counted (Refusals).
//   - A length on the wire never makes the reader allocate more than 1 MiB or twice what has arrived.
//   - A snapshot never shares a connection with messages. Of one group one snapshot is received at a time: a new
//     connection ends the one before, unless that is of a newer term.
//   - After Close no goroutine is left and no callback runs.
//
// # When things fail
//
//	peer down              attempts every 20 ms to 160 ms with jitter; a hello from the peer ends the wait; messages that wait
//	                       for an attempt are dropped when it fails
//	connection breaks      the watcher notices; queue dropped, Unreachable, next attempt
//	bytes unacknowledged   the kernel gives up after 10 s (TCP_USER_TIMEOUT, Linux), a write without progress after 5 s
//	peer does not read     the queue fills; then messages are dropped, heartbeats last
//	wrong node, wiped disk refusal with a code and words; logged and reported once per change; attempts go on, up to a second apart
//	bytes make no sense    the reader counts, logs and closes; the sender connects again
//	snapshot stream breaks the sender comes back, for 10 s, and goes on where the receiver says; so does any later
//	                       stream of the same content, also of another leader or after a restart
//	no file descriptors    the acceptor waits and goes on
//
// # Wire format, version 2
//
// All integers are little-endian; str is a length byte and that many bytes. Checksums are CRC32C.
//
// Each side of a connection begins with a preamble, which keeps its layout in every future version, and a record:
//
//	caller   "kvpeer" version:u8 purpose:u8   length:u32 crc:u32 hello
//	answer   "kvpeer" version:u8 code:u8      length:u32 crc:u32 reason_length:u16 reason hello
//	hello    node:u64 incarnation:u64 cluster:str name:str to:str addr:str
//
// Purpose is 1 messages, 2 snapshot, 3 probe. Code 0 is a welcome; any other is a refusal (see Code), reason its text,
// and the connection is closed. After a welcome the caller sends frames:
//
//	frame    length:u32 group:u32 type:u8 0:u8[3] crc:u32 payload[length]
//
// The checksum covers the first 12 bytes and the payload. Types: 1 messages none of which has entries, 2 messages,
// 3 snapshot header, 4 snapshot bytes (up to 256 KiB), 5 the receiver's verdict on a snapshot: nothing, or an error's
// text, 6 how many bytes of the snapshot the receiver has, a u64. A connection for messages carries types 1 and 2. One
// for a snapshot carries 3, is answered by 6, carries 4 from that offset to the announced size, and is answered by 5. A
// refusal, 5 with a text, may come at any time. The payload of 1 and 2 is any number of messages:
//
//	message  type:u8 flags:u8 0:u8[2] entries:u32 term:u64 index:u64 log_term:u64 commit:u64 hint:u64 hint_term:u64
//	         ctx:u64 sent_at:i64 entry[entries]
//	entry    index:u64 term:u64 length:u32 kind:u8 0:u8[3] data[length]
//	snapshot term:u64 size:i64 crc:u32 meta_index:u64 meta_term:u64 name_length:u16 name membership
//
// Flag 1 is Reject, flag 2 Transfer. From and To are not sent: they are what the handshake established, so that a node
// cannot speak for another. Fields are of fixed width because that makes encoding and checking cheap, and 72 bytes are
// little beside a TCP segment's overhead.
package transport
