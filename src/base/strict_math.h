// Arithmetic as it is written. With -ffast-math the compiler reorders sums and takes NaN for
// impossible: the program would build, run, and compute other logits. Every header of kernels
// includes this one.
#pragma once

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    defined(__USE_FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ != 0)
#error \
    "orthrus computes exact tokens and cannot be built with -ffast-math, -funsafe-math-optimizations or -ffinite-math-only; take them out of the compiler's flags (a parent project's reach it too)"
#endif
