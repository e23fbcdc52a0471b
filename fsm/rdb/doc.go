// Package rdb is the format in which Redis serializes one value: what DUMP answers and RESTORE takes. It knows bytes only,
// nothing of keys, time or commands.
//
// # Payload
//
//	type(1) object version(2) CRC-64(8)
//
// The numbers behind the object are little endian; the checksum is over all that stands before it. Most objects are sequences
// of lengths and strings. A string is verbatim, an integer in 1, 2 or 4 bytes, or compressed by LZF. Small collections are one
// string, which holds them in a packed encoding of its own: a listpack or a set of integers, and in payloads of old servers a
// ziplist or a zipmap. A list is a sequence of such strings, its nodes.
//
// Writer writes what Redis 7.0 would, so that a server of that version or a later one reads it: for values whose order Redis
// defines the same bytes, LZF included; hashes with deadlines of fields as Redis 7.4. Reader reads all that the versions up to 7.4
// write.
// Streams are written and read piece by piece, see stream.go.
//
// # Hostile input
//
// A payload comes from a client. Reader checks every length before it is used, never goes back, and takes no more memory than
// the longest string of the payload, at most MaxText bytes and 88 times what stands there for it. It validates as Redis does
// with the setting sanitize-dump-payload: the structure of packed encodings to the last byte. That elements are different is
// for the caller to see, who has a place to look them up.
//
// # Goroutines
//
// The package starts none and keeps no state between calls. A Writer or Reader is used by one goroutine at a time.
package rdb

import (
	"errors"
	"hash/crc64"
)

// Type is the first byte of a payload: what the value is and how it is encoded.
type Type byte

// The types, by the numbers that stand in payloads.
const (
	TypeString        Type = 0
	TypeList          Type = 1
	TypeSet           Type = 2
	TypeZSetText      Type = 3 // scores as texts
	TypeHash          Type = 4
	TypeZSet          Type = 5
	TypeHashZipmap    Type = 9
	TypeListZiplist   Type = 10
	TypeSetIntset     Type = 11
	TypeZSetZiplist   Type = 12
	TypeHashZiplist   Type = 13
	TypeListZiplists  Type = 14 // nodes that are ziplists
	TypeStream        Type = 15
	TypeHashListpack  Type = 16
	TypeZSetListpack  Type = 17
	TypeListListpacks Type = 18 // nodes that are listpacks or plain strings
	TypeStreamOffsets Type = 19 // with what was ever added and read
	TypeSetListpack   Type = 20 // since Redis 7.2
	TypeStreamActive  Type = 21 // with when consumers were given something, since Redis 7.2
	// Hashes with deadlines of fields, since Redis 7.4. Those of its release candidates lack the earliest deadline.
	TypeHashTimesEarly         Type = 22
	TypeHashListpackTimesEarly Type = 23
	TypeHashTimes              Type = 24
	TypeHashListpackTimes      Type = 25

	typeCount = 26
)

const (
	nodePlain           = 1
	nodePacked          = 2
	footerBytes         = 10
	lengthBits          = 0xc0 // of the first byte of a length: its width
	length6             = 0x00
	length14            = 0x40
	length32            = 0x80
	length64            = 0x81
	lengthCode          = 0xc0 // no length: how a string is encoded follows
	codeInt8            = 0
	codeInt16           = 1
	codeInt32           = 2
	codeLZF             = 3
	mostLength14        = 1<<14 - 1
	minCompressed       = 21 // bytes from which a string is worth a try
	longestSmallInteger = 11 // digits that an integer of 32 bits may have
)

const (
	// Version is the version of the format that Writer writes, that of Redis 7.0.
	Version = 10
	// TimesVersion is what it writes for hashes with deadlines of fields, that of Redis 7.4.
	TimesVersion = 12
	// MaxVersion is the highest version that Reader reads, that of Redis 7.4.
	MaxVersion = 12
	// MaxDeadline is the last deadline of a field in Unix ms.
	MaxDeadline = 1<<48 - 1
	// Frame is the bytes of a payload around its object: the type and the footer.
	Frame = 1 + footerBytes
	// MaxText is the longest string in bytes that Reader reads, the longest that a client can write.
	MaxText = 512 << 20
)

// Errors of Open and Reader.Err.
var (
	ErrFooter = errors.New("the payload is of a newer version, or its checksum is wrong")
	ErrFormat = errors.New("malformed payload")
)

// crcTable is of the polynomial 0xad93d23594c935a9, reflected.
var crcTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum is the CRC-64 that payloads have: it begins with zero and ends as it is, where the standard library inverts.
func checksum(b []byte) uint64 { return ^crc64.Update(^uint64(0), crcTable, b) }
