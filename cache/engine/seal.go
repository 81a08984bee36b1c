package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

const (
	// SealKeyLength is the length of each of Options.Keys, in bytes.
	SealKeyLength = 32

	keyIDLength = 8
	nonceLength = 12
	tagLength   = 16
	sealedAt    = contentAt + keyIDLength + nonceLength
)

// sealKey encrypts and authenticates envelopes with AES-256-GCM.
//
// The magic, the flags, the key's id and the name under which an envelope lies
// are authenticated with it, so none can be moved to another name. Putting an
// older envelope back under its own name is possible, and of no use: what it
// shows is dated inside, and the fence judges it as any other.
//
// The nonce is random. One key should not seal more than 2^32 entries, after
// which two of its nonces are equal with a probability of 2^-33.
type sealKey struct {
	id   [keyIDLength]byte
	aead cipher.AEAD
}

// newSealKeys derives from each secret a key and a name for it, which says
// nothing of either.
func newSealKeys(secrets [][]byte) ([]sealKey, error) {
	keys := make([]sealKey, 0, len(secrets))
	for i, secret := range secrets {
		if len(secret) != SealKeyLength {
			return nil, fmt.Errorf("make cache: key %d of Options.Keys has %d bytes, each needs %d random ones", i+1, len(secret), SealKeyLength)
		}
		key, err := newSealKey(secret)
		if err != nil {
			return nil, fmt.Errorf("make cache: derive key %d of Options.Keys: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func newSealKey(secret []byte) (k sealKey, err error) {
	id, err := hkdf.Expand(sha256.New, secret, "freshet entry key id", keyIDLength)
	if err != nil {
		return k, err
	}
	copy(k.id[:], id)
	key, err := hkdf.Expand(sha256.New, secret, "freshet entry key", SealKeyLength)
	if err != nil {
		return k, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return k, err
	}
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

// appendHead appends the key's id and a new nonce.
func (k *sealKey) appendHead(dst []byte) []byte {
	dst = append(dst, k.id[:]...)
	nonce := make([]byte, nonceLength)
	_, _ = rand.Read(nonce) // it never fails: a system without randomness ends the program
	return append(dst, nonce...)
}

// seal encrypts the body of the envelope that begins at start, in place, and
// appends the tag.
func (k *sealKey) seal(dst []byte, start, bodyAt int, name string) []byte {
	additional := sealContext(dst[start:], name)
	return k.aead.Seal(dst[:bodyAt], dst[bodyAt-nonceLength:bodyAt], dst[bodyAt:], additional)
}

// unseal returns the body of an envelope that one of keys sealed for name.
func unseal(keys []sealKey, src []byte, name string) ([]byte, bool) {
	if len(src) < sealedAt+tagLength {
		return nil, false
	}
	id, nonce := src[contentAt:contentAt+keyIDLength], src[sealedAt-nonceLength:sealedAt]
	for i := range keys {
		if bytes.Equal(keys[i].id[:], id) {
			body, err := keys[i].aead.Open(nil, nonce, src[sealedAt:], sealContext(src, name))
			return body, err == nil
		}
	}
	return nil, false
}

// sealContext is what of an envelope is authenticated and not encrypted. All but
// the name has a fixed length, so different ones are different bytes.
func sealContext(envelope []byte, name string) []byte {
	context := make([]byte, 0, len(envelopeMagic)+1+keyIDLength+len(name))
	context = append(context, envelope[:len(envelopeMagic)]...)
	context = append(context, envelope[flagsAt:contentAt+keyIDLength]...)
	return append(context, name...)
}
