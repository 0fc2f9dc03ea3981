// Instructions that CUDA C++ has no name for: transfer barriers, the tensor copy engine, clusters,
// programmatic dependent launch, and the warp-wide matrix fragments. Fragments and barriers are
// there since sm_80, the others since sm_90; what orders kernels does nothing before.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>

#include <cstdint>

namespace orthrus::cuda {

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// The same, which the compiler keeps, where it would find it again at each use.
__device__ inline uint32_t kept_address(const void* pointer) {
  uint32_t address = shared_address(pointer);
  asm volatile("" : "+r"(address));
  return address;
}

// The warp's place in its block. The shuffle tells the compiler that it is one for all lanes, so
// that what a warp's part in the block decides, such as loops and addresses of operands, is kept in
// uniform registers: without it a product takes a fifth more instructions a tile.
__device__ inline int warp_index() {
  return __shfl_sync(~0u, static_cast<int>(threadIdx.x) / 32, 0);
}

// The multiprocessor's clock, which wraps around.
__device__ inline uint32_t clocks() {
  uint32_t count;
  asm volatile("mov.u32 %0, %%clock;" : "=r"(count));
  return count;
}

// --- Programmatic dependent launch --------------------------------------------------------------
// Every kernel of a pass lets its successor start at once, so that the successor can fetch its
// weights; and waits for its predecessor before it touches anything that a kernel wrote. Since all
// wait, what any earlier kernel wrote is complete after the wait.

__device__ inline void let_successor_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ inline void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// --- Transfer barriers --------------------------------------------------------------------------
// By pointers, or by addresses in shared memory.

__device__ inline void barrier_init(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}

// Makes initialised barriers visible to the copy engine.
__device__ inline void barrier_init_fence() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

// What the thread wrote to shared memory is there for the tensor cores and the copy engine, once
// whoever has them read it knows of this.
__device__ inline void shared_writes_fence() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

__device__ inline void barrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

// Arrives, and has the phase wait for `bytes` of transfers besides.
__device__ inline void barrier_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
__device__ inline void barrier_expect(uint64_t* barrier, uint32_t bytes) {
  barrier_expect(shared_address(barrier), bytes);
}

__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
#if __CUDA_ARCH__ >= 900
#define ORTHRUS_WAIT "mbarrier.try_wait.parity"
#else
#define ORTHRUS_WAIT "mbarrier.test_wait.parity"
#endif
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n" ORTHRUS_WAIT
      ".shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
#undef ORTHRUS_WAIT
}
__device__ inline void barrier_wait(uint64_t* barrier, uint32_t parity) {
  barrier_wait(shared_address(barrier), parity);
}

// --- The copy engine ----------------------------------------------------------------------------

// Weights are read once a pass: they should leave the L2 cache before anything else does.
__device__ inline uint64_t evict_first_policy() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// Activations are read by every block.
__device__ inline uint64_t evict_last_policy() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// A box of the matrix at (row, column), whatever lies outside of it being zero.
__device__ inline void copy_box(uint32_t to, const CUtensorMap* from, int column, int row,
                                uint32_t barrier, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
      "l"(from), "r"(column), "r"(row), "r"(barrier), "l"(policy)
      : "memory");
}
__device__ inline void copy_box(void* to, const CUtensorMap* from, int column, int row,
                                uint64_t* barrier, uint64_t policy) {
  copy_box(shared_address(to), from, column, row, shared_address(barrier), policy);
}

// Brings a line into the L2 cache.
__device__ inline void prefetch_line(const void* pointer) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(pointer));
}

// `bytes` consecutive bytes; both addresses and the size are multiples of 16.
__device__ inline void copy_bytes(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier,
                                  uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
}
__device__ inline void copy_bytes(void* to, const void* from, uint32_t bytes, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}

// --- Clusters -----------------------------------------------------------------------------------

// On devices without clusters a block is one by itself.
__device__ inline uint32_t cluster_rank() {
  uint32_t rank = 0;
#if __CUDA_ARCH__ >= 900
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}

// All threads of all blocks of the cluster. What they wrote before is visible after, and what they
// read has been read.
__device__ inline void cluster_sync() {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
#else
  __syncthreads();
#endif
}

// The same, but that only what they wrote to their own shared memory is visible after. A release of
// all memory waits until the whole device sees what was stored: 0.5 to 2 us where memory is busy.
__device__ inline void cluster_sync_shared() {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "fence.release.sync_restrict::shared::cta.cluster;\n"
      "barrier.cluster.arrive.relaxed.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;\n"
      "fence.acquire.sync_restrict::shared::cluster.cluster;" ::
          : "memory");
#else
  __syncthreads();
#endif
}

// The same threads, where each has stored what it made of other blocks' shared memory: that memory
// stays until all are here. Nothing is made visible.
__device__ inline void cluster_leave() {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "barrier.cluster.arrive.relaxed.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
#else
  __syncthreads();
#endif
}

// Four floats from where `address` lies in the shared memory of the block of that rank.
__device__ inline float4 load_from_rank(uint32_t address, uint32_t rank) {
  float4 v = {};
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %4, %5;\n"
      "ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [remote];\n"
      "}\n"
      : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
      : "r"(address), "r"(rank)
      : "memory");
#endif
  return v;
}

// Where the block of that rank has what `shared` is in this block's shared memory.
template <typename T>
__device__ inline T* at_rank(T* shared, int rank) {
#if __CUDA_ARCH__ >= 900
  T* remote;
  asm("mapa.u64 %0, %1, %2;" : "=l"(remote) : "l"(shared), "r"(rank));
  return remote;
#else
  return shared;
#endif
}

// Barrier of some of a block's warps; id 0 is __syncthreads'.
__device__ inline void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// --- Fragments of a warp ------------------------------------------------------------------------
// These are not volatile, so that loads can be scheduled ahead of the products. What orders them is
// their operands: an address that comes from after_barrier, and results that before_barrier takes.

__device__ inline uint32_t after_barrier(uint32_t address) {
  asm volatile("" : "+r"(address)::"memory");
  return address;
}

template <int N>
__device__ inline void before_barrier(float (&results)[N][4]) {
#pragma unroll
  for (int i = 0; i < N; ++i) {
    asm volatile(""
                 : "+f"(results[i][0]), "+f"(results[i][1]), "+f"(results[i][2]),
                   "+f"(results[i][3])::"memory");
  }
}

// Four 8 x 8 matrices of 2-byte elements; lane i gives the address of row i % 8 of matrix i / 8.
__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
      : "r"(address));
}

__device__ inline void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  asm("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
      : "r"(address));
}

// d += a b, 16 x 16 times 16 x 8.
__device__ inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

}  // namespace orthrus::cuda
