package ringbuf_test

import (
	"context"
	"testing"
	"time"

	"github.com/fb2d3dbd/multiproc/ringbuf"
	"github.com/fb2d3dbd/multiproc/shm"
)

func BenchmarkSolo(b *testing.B) {
	seg, _ := shm.New(&shm.Options{Size: ringbuf.SPSCSize(1 << 16)})
	defer seg.Close()
	r, err := ringbuf.CreateSPSC(seg.Bytes(), &ringbuf.Options{Participants: seg})
	if err != nil {
		b.Fatal(err)
	}
	p, _ := r.Producer()
	c, _ := r.Consumer()
	ctx := context.Background()
	msg := make([]byte, 64)
	buf := make([]byte, 0, 64)
	var tp, tg time.Duration
	const batch = 256
	for i := 0; i < b.N; i++ {
		t0 := time.Now()
		for range batch {
			p.Put(ctx, msg)
		}
		t1 := time.Now()
		for range batch {
			buf, _ = c.Get(ctx, buf[:0])
		}
		tp += t1.Sub(t0)
		tg += time.Since(t1)
	}
	b.ReportMetric(float64(tp)/float64(b.N*batch), "put-ns")
	b.ReportMetric(float64(tg)/float64(b.N*batch), "get-ns")
}
