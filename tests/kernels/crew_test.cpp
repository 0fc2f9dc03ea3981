// Crews of threads: who runs what, exceptions, threads that cannot be made, forked processes.
#include "kernels/cpu/crew.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "orthrus/error.h"
#include "support/no_threads.h"

namespace orthrus::cpu {
namespace {

// The sum of 0..count-1 in steps that wait for each other, as the operations of a pass do.
int64_t sum_of(const Crews& crews, int count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count)), sums(static_cast<size_t>(crews.size()));
  int64_t total = 0;
  crews.run([&](const Member& member) {
    member.share(count, [&](int i) { numbers[static_cast<size_t>(i)] = i; });
    member.share_run(count, [&](int begin, int end) {
      // What others wrote, so that the waiting matters.
      int64_t& sum = sums[static_cast<size_t>(member.index)];
      for (int i = begin; i < end; ++i) sum += numbers[static_cast<size_t>(count - 1 - i)];
    });
    if (member.index == 0) total = std::accumulate(sums.begin(), sums.end(), int64_t{0});
  });
  return total;
}

TEST(Crew, EveryMemberRunsOnceOnAThreadOfItsOwn) {
  for (int size = 1; size <= 5; ++size) {
    const Crews crews(size);
    for (int round = 0; round < 100; ++round) {
      std::vector<std::thread::id> ids(static_cast<size_t>(size));
      std::atomic<int> runs = 0;
      crews.run([&](const Member& member) {
        EXPECT_EQ(member.size(), size);
        ids.at(static_cast<size_t>(member.index)) = std::this_thread::get_id();
        ++runs;
      });
      EXPECT_EQ(runs, size);
      EXPECT_EQ(ids[0], std::this_thread::get_id());
      std::sort(ids.begin(), ids.end());
      EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
      EXPECT_EQ(sum_of(crews, 1000), 999 * 1000 / 2);
    }
  }
}

TEST(Crew, ThreadsOfAProgramHaveCrewsOfTheirOwn) {
  const Crews crews(3);
  std::vector<std::thread> callers;
  std::atomic<int> right = 0;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        if (sum_of(crews, 100 + round) == (99 + round) * (100 + round) / 2) ++right;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 800);
}

TEST(Crew, SleepsBetweenPassesAndWakes) {
  const Crews crews(3);
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(sum_of(crews, 1000), 999 * 1000 / 2);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

TEST(Crew, WhatAMemberThrowsComesOutAndTheCrewGoesOn) {
  for (const int size : {1, 4}) {
    const Crews crews(size);
    for (int thrower = 0; thrower < size; ++thrower) {
      EXPECT_THROW(crews.run([&](const Member& member) {
        if (member.index == thrower) throw std::bad_alloc();
      }),
                   std::bad_alloc);
      EXPECT_EQ(sum_of(crews, 1000), 999 * 1000 / 2);
    }
    EXPECT_THROW(crews.run([](const Member&) { throw std::runtime_error("all"); }),
                 std::runtime_error);
    EXPECT_EQ(sum_of(crews, 1000), 999 * 1000 / 2);
  }
}

// What follows happens in processes of their own, which end with 0 if all is right.

[[noreturn]] void run_without_threads() {
  const Crews crews(8);
  test::allow_no_threads();
  for (int round = 0; round < 2; ++round) {
    try {
      sum_of(crews, 10);
      std::_Exit(1);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kSystem) std::_Exit(2);
      std::fprintf(stderr, "%s\n", error.what());
    }
  }
  std::_Exit(sum_of(Crews(1), 100) == 4950 ? 0 : 3);
}

TEST(CrewDeathTest, ThreadsThatCannotBeMadeAreAnError) {
  EXPECT_EXIT(run_without_threads(), testing::ExitedWithCode(0),
              "Of 8 threads only 1 could be made: .* Ask for fewer threads \\(--threads\\)");
}

// One crew is made before there are no more threads to be had: others wait for it.
[[noreturn]] void share_one_crew() {
  const Crews crews(2);
  std::atomic<bool> go = false;
  std::atomic<int> right = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      go.wait(false);
      for (int round = 0; round < 50; ++round) right += sum_of(crews, 100) == 4950 ? 1 : 0;
    });
  }
  sum_of(crews, 10);
  test::allow_no_threads();
  go = true;
  go.notify_all();
  for (std::thread& caller : callers) caller.join();
  std::_Exit(right == 150 ? 0 : 1);
}

TEST(CrewDeathTest, WhereNoMoreCrewsCanBeMadeCallersTakeTurns) {
  EXPECT_EXIT(share_one_crew(), testing::ExitedWithCode(0), "");
}

[[noreturn]] void run_in_child(std::unique_ptr<const Crews>& crews) {
  alarm(60);
  bool right = true;
  for (int round = 0; round < 3; ++round) right = right && sum_of(*crews, 100) == 4950;
  crews.reset();
  std::_Exit(right ? 0 : 1);
}

TEST(CrewDeathTest, AForkedProcessHasThreadsOfItsOwn) {
  auto crews = std::make_unique<const Crews>(3);
  EXPECT_EQ(sum_of(*crews, 100), 4950);
  EXPECT_EXIT(run_in_child(crews), testing::ExitedWithCode(0), "");
  EXPECT_EQ(sum_of(*crews, 100), 4950);
  // One that ends without having used them.
  EXPECT_EXIT((crews.reset(), std::_Exit(0)), testing::ExitedWithCode(0), "");
  EXPECT_EQ(sum_of(*crews, 100), 4950);
}

TEST(CrewDeathTest, IsForkedWhileOthersAreAtWork) {
  auto crews = std::make_unique<const Crews>(2);
  std::atomic<bool> over = false;
  std::vector<std::thread> callers;
  for (int c = 0; c < 2; ++c) {
    callers.emplace_back([&] {
      while (!over) sum_of(*crews, 100);
    });
  }
  for (int round = 0; round < 10; ++round) {
    EXPECT_EXIT(run_in_child(crews), testing::ExitedWithCode(0), "");
  }
  over = true;
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace orthrus::cpu
