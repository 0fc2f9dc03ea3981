// Names for what is made for one request only.
#pragma once

#include <string>

namespace orthrus::server {

// 32 hexadecimal digits, other ones each time.
std::string random_id();

}  // namespace orthrus::server
