package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/cache/internal/world"
)

const sampleName = "freshet:6:abc:{00}"

// secret returns a key that differs for different numbers.
func secret(n byte) []byte { return bytes.Repeat([]byte{n}, SealKeyLength) }

func sealing(t testing.TB, secrets ...[]byte) envelopes {
	t.Helper()
	keys, err := newSealKeys(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return envelopes{keys: keys}
}

func enclose(t testing.TB, v envelopes, e *Entry, label fence.Label) []byte {
	t.Helper()
	envelope, err := v.append([]byte("before"), e, label, sampleName)
	if err != nil {
		t.Fatal(err)
	}
	envelope, found := bytes.CutPrefix(envelope, []byte("before"))
	if !found {
		t.Fatal("what was in the buffer is gone")
	}
	return envelope
}

// stamp puts a magic and a right checksum before the rest of an envelope, as
// somebody could who wants to do harm.
func stamp(rest []byte) []byte {
	sum := binary.LittleEndian.AppendUint64([]byte("FRS\x06"), xxhash.Sum64(rest))
	return append(sum, rest...)
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Bytes of these forms are in Redis servers: a change needs another version.
func TestEnvelopeFormat(t *testing.T) {
	t.Parallel()
	e, label := sample(t)
	plain := envelopes{}
	t.Run("plain", func(t *testing.T) {
		want := stamp(unhex(t, "00"+sampleRecord))
		if got := enclose(t, plain, e, label); !bytes.Equal(got, want) {
			t.Fatalf("got  %x\nwant %x", got, want)
		}
		mustOpen(t, plain, want)
	})
	t.Run("compressed", func(t *testing.T) {
		// An S2 block by hand: the length, and the record as one literal.
		record := unhex(t, sampleRecord)
		block := append(binary.AppendUvarint(nil, uint64(len(record))), byte(len(record)-1)<<2)
		mustOpen(t, plain, stamp(append(append([]byte{1}, block...), record...)))
	})
	t.Run("sealed", func(t *testing.T) {
		v := sealing(t, secret(7))
		mustOpen(t, v, sealedByHand(t, secret(7), 2, unhex(t, sampleRecord), sampleName))
		got := enclose(t, v, e, label)
		if got[12] != 2 || len(got) != 4+8+1+8+12+len(sampleRecord)/2+16 {
			t.Fatalf("%d bytes with the flags %x", len(got), got[12])
		}
		mustOpen(t, v, got)
		if again := enclose(t, v, e, label); bytes.Equal(again, got) {
			t.Fatal("a nonce was used twice")
		}
	})
}

// sealedByHand makes a sealed envelope from what the format says alone.
func sealedByHand(t testing.TB, secret []byte, flags byte, body []byte, name string) []byte {
	t.Helper()
	derive := func(info string, length int) []byte {
		key, err := hkdf.Expand(sha256.New, secret, info, length)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	block, err := aes.NewCipher(derive("freshet entry key", 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	id, nonce := derive("freshet entry key id", 8), []byte("twelve bytes")
	context := append(append([]byte("FRS\x06"), flags), id...)
	rest := append(append([]byte{flags}, id...), nonce...)
	return stamp(aead.Seal(rest, nonce, body, append(context, name...)))
}

func mustOpen(t *testing.T, v envelopes, envelope []byte) {
	t.Helper()
	r, ok := v.open(envelope, sampleName, nil)
	if !ok || string(r.key) != "key" || string(r.payload) != "payload" || len(r.tags) != 2 {
		t.Fatalf("opened %+v, %v", r, ok)
	}
}

func TestEveryBrokenByteIsSeen(t *testing.T) {
	t.Parallel()
	e, label := sample(t)
	for name, v := range map[string]envelopes{"plain": {}, "sealed": sealing(t, secret(1))} {
		good := enclose(t, v, e, label)
		for i := range good {
			for bit := range 8 {
				bad := bytes.Clone(good)
				bad[i] ^= 1 << bit
				if _, ok := v.open(bad, sampleName, nil); ok {
					t.Fatalf("%s: byte %d, bit %d was turned and nobody saw", name, i, bit)
				}
			}
			if _, ok := v.open(good[:i], sampleName, nil); ok {
				t.Fatalf("%s: only %d bytes were left and nobody saw", name, i)
			}
		}
		if _, ok := v.open(append(bytes.Clone(good), 0), sampleName, nil); ok {
			t.Fatalf("%s: a byte was added and nobody saw", name)
		}
	}
}

// Whoever can write to Redis can put a right checksum on anything.
func TestForgedEnvelopes(t *testing.T) {
	t.Parallel()
	e, label := sample(t)
	v := sealing(t, secret(1), secret(2))
	good := enclose(t, v, e, label)
	record := unhex(t, sampleRecord)
	for name, envelope := range map[string][]byte{
		"not sealed":                 enclose(t, envelopes{}, e, label),
		"sealed by another":          enclose(t, sealing(t, secret(3)), e, label),
		"said not to be sealed":      stamp(append([]byte{0}, good[13:]...)),
		"said to be compressed":      stamp(append([]byte{3}, good[13:]...)),
		"a flag of the future":       stamp(append([]byte{4}, record...)),
		"another key's id":           stamp(append(append([]byte{2}, enclose(t, sealing(t, secret(2)), e, label)[13:21]...), good[21:]...)),
		"an unknown key's id":        stamp(append([]byte("\x02whoknows"), good[21:]...)),
		"another nonce":              stamp(append(append(bytes.Clone(good[12:21]), "another some"...), good[33:]...)),
		"too short for a tag":        stamp(good[12:45]),
		"sealed under another name":  sealedByHand(t, secret(1), 2, record, "freshet:6:abc:{01}"),
		"a turned bit and a new sum": turned(good),
	} {
		if r, ok := v.open(envelope, sampleName, nil); ok {
			t.Errorf("%s: opened %+v", name, r)
		}
	}
	mustOpen(t, v, good)
	if _, ok := v.open(good, sampleName+"x", nil); ok {
		t.Error("an envelope was moved to another name and nobody saw")
	}
	if _, ok := (&envelopes{}).open(good, sampleName, nil); ok {
		t.Error("opened without a key")
	}
}

func turned(envelope []byte) []byte {
	bad := bytes.Clone(envelope)
	bad[len(bad)-1] ^= 1
	return stamp(bad[12:])
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	e, label := sample(t)
	before, between, after := sealing(t, secret(1), secret(2)), sealing(t, secret(2), secret(1)), sealing(t, secret(2))
	for name, v := range map[string]envelopes{"before": before, "between": between} {
		for other, reader := range map[string]envelopes{"before": before, "between": between} {
			if _, ok := reader.open(enclose(t, v, e, label), sampleName, nil); !ok {
				t.Errorf("what was sealed %s cannot be opened %s", name, other)
			}
		}
	}
	mustOpen(t, after, enclose(t, between, e, label))
	if _, ok := after.open(enclose(t, before, e, label), sampleName, nil); ok {
		t.Error("a key that was taken out still opens")
	}
}

func TestKeysMustBeKeys(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Fence: world.New().Fence, Keys: [][]byte{secret(1), []byte("short secret")}})
	if err == nil || !strings.Contains(err.Error(), "key 2") || strings.Contains(err.Error(), "short secret") {
		t.Fatalf("error %v", err)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	e, label := sample(t)
	for _, sealed := range []bool{false, true} {
		v := envelopes{}
		if sealed {
			v = sealing(t, secret(1))
		}
		packing := v
		packing.compress = true
		for name, c := range map[string]struct {
			payload string
			gains   bool
		}{
			"short":         {strings.Repeat("a", compressMin/2), false},
			"repeating":     {strings.Repeat("all rows look alike ", 1000), true},
			"without order": {noise(100_000), false},
		} {
			e.Payload = text(c.payload)
			packing.packing = newPacking()
			loose, packed := enclose(t, v, e, label), enclose(t, packing, e, label)
			if gains := len(packed) < len(loose); gains != c.gains || (packed[12]&flagCompressed != 0) != c.gains {
				t.Errorf("%s: %d bytes of %d, flags %x", name, len(packed), len(loose), packed[12])
			}
			if before, after := packing.packing.before.Load(), packing.packing.after.Load(); before < uint64(len(c.payload)) || (after < before) != c.gains || after > uint64(len(packed)) {
				t.Errorf("%s: %d bytes are said to be %d now, of %d in all", name, before, after, len(packed))
			}
			// Whoever reads need not compress.
			if r, ok := v.open(packed, sampleName, nil); !ok || string(r.payload) != c.payload {
				t.Errorf("%s: came back as %d bytes, %v", name, len(r.payload), ok)
			}
		}
	}
}

// noise is text that does not compress.
func noise(length int) string {
	var b strings.Builder
	sum := sha256.Sum256(nil)
	for b.Len() < length {
		sum = sha256.Sum256(sum[:])
		b.Write(sum[:])
	}
	return b.String()
}

// Few bytes that become much are not given room for it.
func TestDecompressionBombs(t *testing.T) {
	t.Parallel()
	record := unhex(t, sampleRecord)
	large := func(length int) []byte {
		return s2.Encode(nil, append(bytes.Clone(record), make([]byte, length-len(record))...))
	}
	if n := len(large(recordMax + 1)); n > 1000 {
		t.Fatalf("the bomb has %d bytes, it should be small", n)
	}
	for name, c := range map[string]struct {
		block []byte
		opens bool
	}{
		"as large as may be": {large(recordMax), true},
		"one byte larger":    {large(recordMax + 1), false},
		"a claim of 4 GiB":   {append(binary.AppendUvarint(nil, 1<<32-1), 0xfe, 0xff), false},
		"an overflow":        {binary.AppendUvarint(nil, 1<<63), false},
		"nothing":            {nil, false},
		"a false length":     {append(binary.AppendUvarint(nil, 1000), byte(len(record)-1)<<2), false},
	} {
		if _, ok := (&envelopes{}).open(stamp(append([]byte{flagCompressed}, c.block...)), sampleName, nil); ok != c.opens {
			t.Errorf("%s: opened is %v", name, ok)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	e, label := sample(f)
	f.Add(enclose(f, envelopes{}, e, label)[flagsAt:])
	f.Add(enclose(f, sealing(f, secret(1)), e, label)[flagsAt:])
	f.Add([]byte{0, 1, 1, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 0})
	e.Payload = text(strings.Repeat("x", 2*compressMin))
	f.Add(enclose(f, envelopes{compress: true}, e, label)[flagsAt:])
	sealed, plain := sealing(f, secret(1)), envelopes{}
	genuine := map[string]bool{}
	for _, payload := range []string{"payload", strings.Repeat("x", 2*compressMin)} {
		genuine[payload] = true
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		if r, ok := sealed.open(stamp(rest), sampleName, nil); ok && !genuine[string(r.payload)] {
			t.Fatalf("a forged envelope was opened: %+v", r)
		}
		r, ok := plain.open(stamp(rest), sampleName, nil)
		if !ok {
			return
		}
		if len(r.payload)+len(r.key) > max(len(rest), recordMax) {
			t.Fatal("more came out than is allowed")
		}
		for _, v := range []envelopes{plain, {compress: true}, sealed} {
			again, err := v.append(nil, &Entry{
				Ticket: fence.NewTicket(r.label, r.tags, 0), Key: r.key, Payload: text(r.payload), born: r.born, life: r.life,
			}, r.label, sampleName)
			if err != nil {
				t.Fatal(err)
			}
			second, ok := v.open(again, sampleName, nil)
			if !ok || !bytes.Equal(second.key, r.key) || !bytes.Equal(second.payload, r.payload) || second.life != r.life {
				t.Fatalf("%+v came back as %+v", r, second)
			}
		}
	})
}

func BenchmarkEnvelope(b *testing.B) {
	e, label := sample(b)
	sealed := sealing(b, secret(1))
	for _, size := range []int{200, 4 << 10, 64 << 10} {
		var rows strings.Builder
		for i := 0; rows.Len() < size; i++ {
			fmt.Fprintf(&rows, "%d|customer %d|2024-05-%02d|%d.%02d\n", i, i*7919%1000, i%28+1, i*31%500, i%100)
		}
		e.Payload = text(rows.String())
		for name, v := range map[string]envelopes{
			"plain": {}, "compressed": {compress: true}, "sealed": sealed, "both": {compress: true, keys: sealed.keys},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				var buffer []byte
				for b.Loop() {
					var err error
					if buffer, err = v.append(buffer[:0], e, label, sampleName); err != nil {
						b.Fatal(err)
					}
					if _, ok := v.open(buffer, sampleName, nil); !ok {
						b.Fatal("not opened")
					}
				}
				b.ReportMetric(float64(len(buffer)), "bytes")
			})
		}
	}
}
