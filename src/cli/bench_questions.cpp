// What `orthrus bench` asks a chat model: 24 questions of the kinds that people ask one. To write
// code in several languages, to explain and tell, and to edit code that the question brings, whose
// answers mostly repeat it.
#include "cli/bench_prompts.h"

namespace orthrus::cli {
namespace {

struct Question {
  const char* kind;
  const char* text;
};

constexpr Question kQuestions[] = {
    {"code",
     "Write a Python function that parses an ISO 8601 duration such as P3DT4H5M into seconds."},
    {"code",
     "Write a Python class for a least recently used cache, with get, put and a limit, and a "
     "short unit test for it."},
    {"code", "In C++20, write a thread-safe bounded queue with push, pop and close."},
    {"code",
     "Write a JavaScript function debounce(fn, wait) that has a cancel method, and show how to "
     "use it."},
    {"code",
     "Write an SQL query: tables customers(id, name) and orders(id, customer_id, total, "
     "ordered_at). The ten customers who spent most in the last 90 days, with the number of "
     "their orders."},
    {"code",
     "Write a Bash script that deletes files older than 30 days in a directory given as its "
     "argument, asks before it does, and prints how many bytes became free."},
    {"code",
     "In Rust, write a function that counts the words of a text file and prints the twenty "
     "most common ones."},
    {"code", "Write a Go HTTP handler that returns the current time as JSON, with a test."},
    {"code",
     "Implement binary search over a sorted array in Java, iteratively, and explain its loop "
     "invariant in a comment."},
    {"code",
     "Write a TypeScript type Shape for circles, squares and rectangles, and a function area "
     "that covers all of them."},
    {"prose",
     "Explain to a new programmer what a race condition is, with an example from everyday "
     "life."},
    {"prose",
     "What happens between typing an address in a browser and seeing the page? Answer in "
     "about two hundred words."},
    {"prose",
     "Write a polite e-mail to a customer whose order is delayed by a week, offering a "
     "discount on the next one."},
    {"prose", "Compare SQLite and PostgreSQL for a small web shop. When would you choose which?"},
    {"prose", "Tell a short story about a lighthouse keeper who finds a message in a bottle."},
    {"prose",
     "List ten things to check before a service goes into production, each with one sentence "
     "of reason."},
    {"edit", R"q(Add type hints and docstrings to this code, and change nothing else:

```python
def load(path, default=None):
    if not os.path.exists(path):
        return default
    with open(path) as file:
        return json.load(file)


def save(path, value):
    temporary = path + ".tmp"
    with open(temporary, "w") as file:
        json.dump(value, file, indent=2)
    os.replace(temporary, path)


def update(path, key, value):
    data = load(path, {})
    data[key] = value
    save(path, data)
    return data
```)q"},
    {"edit",
     R"q(Rename the variable `tmp` to `swapped` and the function `sort` to `bubble_sort` in this code. Give me the whole code again.

```c
#include <stdbool.h>
#include <stddef.h>

void sort(int *values, size_t count) {
  bool tmp = true;
  while (tmp) {
    tmp = false;
    for (size_t i = 1; i < count; ++i) {
      if (values[i - 1] > values[i]) {
        int value = values[i];
        values[i] = values[i - 1];
        values[i - 1] = value;
        tmp = true;
      }
    }
  }
}
```)q"},
    {"edit",
     R"q(There is an error in this function when the list is empty. Mend it and print the whole function again.

```python
def statistics(values):
    total = 0
    smallest = values[0]
    largest = values[0]
    for value in values:
        total += value
        if value < smallest:
            smallest = value
        if value > largest:
            largest = value
    return {
        "count": len(values),
        "mean": total / len(values),
        "smallest": smallest,
        "largest": largest,
    }
```)q"},
    {"edit", R"q(Convert these callbacks to async/await. Keep names and messages as they are.

```javascript
function loadUser(id, callback) {
  fetchJson(`/users/${id}`, (error, user) => {
    if (error) {
      console.error("user failed", error);
      callback(error);
      return;
    }
    fetchJson(`/users/${id}/orders`, (error, orders) => {
      if (error) {
        console.error("orders failed", error);
        callback(error);
        return;
      }
      user.orders = orders;
      callback(null, user);
    });
  });
}
```)q"},
    {"edit",
     R"q(Add a method `remove(self, name)` that raises KeyError when the name is unknown, and give me the complete class.

```python
class Inventory:
    def __init__(self):
        self._items = {}

    def add(self, name, count=1):
        if count < 1:
            raise ValueError("count must be positive")
        self._items[name] = self._items.get(name, 0) + count

    def count(self, name):
        return self._items.get(name, 0)

    def total(self):
        return sum(self._items.values())

    def __len__(self):
        return len(self._items)

    def __repr__(self):
        return f"Inventory({self._items!r})"
```)q"},
    {"edit",
     R"q(Add a column `email`, unique and not null, to users, and an index on orders.created_at. Print the whole schema again.

```sql
CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  user_id INTEGER NOT NULL REFERENCES users(id),
  total_cents INTEGER NOT NULL CHECK (total_cents >= 0),
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX orders_by_user ON orders(user_id);
```)q"},
    {"edit", R"q(Correct spelling and grammar in this README and change nothing else:

# Wether

A small comand line tool that show the wether for you're city. It read the API key from the
enviroment variable WETHER_KEY.

## Instal

    pip instal wether

## Usage

    wether Berlin
    wether --days 3 "New York"

The tool print one line for each day. When their is no network, it print the last answer that it
has saved, and say how old it are.
)q"},
    {"edit",
     R"q(Make the timeout and the number of retries parameters of the function, with the present values as defaults. Give me the whole code again.

```go
func fetch(url string) ([]byte, error) {
	client := &http.Client{Timeout: 10 * time.Second}
	var lastErr error
	for attempt := 0; attempt < 3; attempt++ {
		response, err := client.Get(url)
		if err != nil {
			lastErr = err
			time.Sleep(time.Duration(attempt+1) * time.Second)
			continue
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			lastErr = fmt.Errorf("status %d", response.StatusCode)
			continue
		}
		return io.ReadAll(response.Body)
	}
	return nil, lastErr
}
```)q"},
};

}  // namespace

std::vector<BenchPrompt> built_in_questions() {
  std::vector<BenchPrompt> questions;
  for (const Question& question : kQuestions) {
    ChatMessage message;
    message.role = "user";
    message.content = question.text;
    questions.push_back({question.kind, std::vector<ChatMessage>{std::move(message)}});
  }
  return questions;
}

}  // namespace orthrus::cli
