#include "kernels/cpu/amx.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace orthrus::cpu {
namespace {

bool processor_has_amx() {
  constexpr unsigned kTiles = 1u << 24, kInt8 = 1u << 25;  // of leaf 7's edx
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTiles) != 0 && (d & kInt8) != 0;
}

// The kernel saves tiles with a thread only where its process has asked for that (Linux 5.16 and
// later; before, and where a hypervisor hides them, it refuses).
bool system_permits_amx() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool has_amx() {
  static const bool has = processor_has_amx() && system_permits_amx();
  return has;
}

}  // namespace orthrus::cpu

#else

namespace orthrus::cpu {

bool has_amx() {
  return false;
}

}  // namespace orthrus::cpu

#endif
