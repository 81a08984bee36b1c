package load

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/loadtest/target"
)

const (
	// sampleMax is about how many keys are compared, while compareTime lasts; compareMin
	// answers are compared however long it takes.
	sampleMax   = 100
	compareTime = 2 * time.Second
	compareMin  = 20
)

// sampleKeys are keys from everywhere, the most popular one among them.
func sampleKeys(rows int64) []int64 {
	var all []int64
	for key := int64(0); key < rows; key += max(1, rows/sampleMax) {
		all = append(all, key)
	}
	return all
}

// compare asks the target twice for each read of some keys, so that an answer from its memory
// is among them, and Postgres once, and returns how many answers there were and how many of
// them had other bytes. Nobody may write meanwhile.
func (p *player) compare(ctx context.Context, keys []int64) (compared, different int, err error) {
	near, err := p.ground.Near(ctx, p.target, p.options.Protocol)
	if err != nil {
		return 0, 0, err
	}
	defer near.Close()
	through, err := p.target.Connect(ctx, p.options.Protocol)
	if err != nil {
		return 0, 0, fmt.Errorf("compare answers: %w", err)
	}
	defer through.Close()
	began := time.Now()
	for _, key := range keys {
		if compared >= compareMin && time.Since(began) > compareTime {
			break
		}
		for number := range p.options.Workload.Steps() {
			if err := ctx.Err(); err != nil {
				return compared, different, err
			}
			want, err := p.answer(near, number, key)
			if err != nil {
				return compared, different, err
			}
			for range 2 {
				got, err := p.answer(through, number, key)
				if err != nil {
					return compared, different, err
				}
				compared++
				if !bytes.Equal(got, want) {
					different++
				}
			}
		}
	}
	return compared, different, nil
}

// answer is all that came back, with every value behind its length.
func (p *player) answer(from target.Session, number int, key int64) (text []byte, err error) {
	o := p.options.Workload.ReadOf(number, key, p.options.Mix, p.judge.Count(), key)
	err = from.Read(&o, func(row [][]byte) {
		text = fmt.Appendf(text, "row of %d:", len(row))
		for _, value := range row {
			if value == nil {
				text = append(text, "null;"...)
				continue
			}
			text = fmt.Appendf(text, "%d=%s;", len(value), value)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("compare answers of %s: %w", p.found.Name, err)
	}
	return text, nil
}
