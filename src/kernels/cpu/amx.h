// AMX, the matrix unit of some x86 processors.
#pragma once

namespace orthrus::cpu {

// Whether the processor has its products of 8-bit integers and the system lets this process use
// them, which has to be asked for. Asked once.
bool has_amx();

}  // namespace orthrus::cpu
