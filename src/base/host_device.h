// What runs on the host and on a device.
#pragma once

#ifdef __CUDACC__
#define ORTHRUS_HOST_DEVICE __host__ __device__
#else
#define ORTHRUS_HOST_DEVICE
#endif
