package fsm

import "encoding/binary"

// hashValue is a hash. The order of its dict is part of its value.
type hashValue struct {
	dict[string]
	vals  int  // sum of the lengths of the values
	large bool // the form is hashTable
}

func (h *hashValue) kind() kind { return kindHash }
func (h *hashValue) size() int  { return 168 + h.bytes + h.vals + h.n*hashEntryCost }

func (h *hashValue) clone() object { return &hashValue{h.dict.clone(), h.vals, h.large} }

func (h *hashValue) form() form {
	if h.large {
		return hashTable
	}
	return hashPacked
}

func (h *hashValue) setForm(f form) bool {
	f, ok := largerForm(h.form(), f)
	h.large = f == hashTable
	return ok
}

// get returns the value of field.
func (h *hashValue) get(field []byte) (string, bool) {
	if i := h.find(field); i >= 0 {
		return h.at(i).val, true
	}
	return "", false
}

// put sets field and reports whether it is new.
func (h *hashValue) put(field []byte, val string) bool {
	h.vals += len(val)
	if len(field) > HashMaxListpackValue || len(val) > HashMaxListpackValue {
		h.large = true
	}
	if i := h.find(field); i >= 0 {
		h.vals -= len(h.at(i).val)
		h.set(i, val)
		return false
	}
	h.add(string(field), val)
	if h.n > HashMaxListpackEntries {
		h.large = true
	}
	return true
}

// remove deletes field and reports whether it was there.
func (h *hashValue) remove(field []byte) bool {
	i := h.find(field)
	if i >= 0 {
		h.vals -= len(h.at(i).val)
		h.removeAt(i)
	}
	return i >= 0
}

func (h *hashValue) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(h.n))
	for i := range h.n {
		e := h.at(i)
		dst = appendBytes(appendBytes(dst, e.key), e.val)
	}
	return dst
}

func decodeHash(b []byte) (object, error) {
	d := valueDecoder{b: b}
	h := &hashValue{}
	for n := d.count(); n > 0 && !d.bad; n-- {
		f := d.bytes()
		if v := d.bytes(); !d.bad && !h.put(f, string(v)) {
			return nil, errDecode
		}
	}
	if !d.end() || h.n == 0 {
		return nil, errDecode
	}
	return h, nil
}

func init() { decoders[kindHash] = decodeHash }
