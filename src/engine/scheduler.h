// Runs jobs to their end, all that are not done sharing each pass.
#pragma once

#include <span>

#include "engine/job.h"
#include "model/device_model.h"

namespace orthrus {

void run_jobs(Runner& runner, std::span<Job* const> jobs);

}  // namespace orthrus
