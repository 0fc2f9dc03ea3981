#!/usr/bin/env bash
# Runs every libFuzzer target for a while: scripts/fuzz.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/fuzz.sh [SECONDS]

Builds every libFuzzer target with clang 19, and runs each for SECONDS, 60 unless given.
EOF
}

seconds=${*:-60}
case $seconds in
  -h | --help) usage && exit ;;
  *[!0-9]*) echo "fuzz: $seconds is no number of seconds. See scripts/fuzz.sh --help." >&2 && exit 2 ;;
esac

scripts/setup.sh clang-19 libclang-rt-19-dev
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
for target in safetensors quantized gguf config tokenizer vocabulary output http messages openai; do
  corpus=build-fuzz/corpus-$target
  mkdir -p "$corpus"
  case $target in
    vocabulary)
      printf '1he\n1ll\n1hell\n3<s>\n4<b>\n5[PAD]\nmh e\nml l\nmhe ll\nbbbbb\n' >"$corpus/small" ;;
    tokenizer)
      printf '{"added_tokens_decoder": {"301": {"content": "<c>"}}, "eos_token": "<s>"}' >"$corpus/config"
      printf '[^\\r\\n\\p{L}]?\\p{L}{1,3}|(?i:re)|\\s+(?!\\S)\n<a>\nshe sells <a> hello' >"$corpus/lines" ;;
    output)
      printf '\x1cLet me see.\n<tool_call>\n{"name": "f", "arguments": {"a": [1, "\\u00e9"]}}\n</tool_call>' \
        >"$corpus/call"
      printf '\x7f<think>\na\n</think>\n\n```json\n{"name": "f", "arguments": "{}"}\n```\n' >"$corpus/all" ;;
    http)
      printf '\x05POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n' \
        >"$corpus/chunked"
      printf '\x01PUT http://h/%%%%41 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd\r\nOPTIONS * HTTP/1.0\r\n\r\n' \
        >"$corpus/length" ;;
    messages)
      printf '\x01{"max_tokens": 1, "system": [{"type": "text", "text": "s"}], "tools": [{"name": "f", %s' \
        '"input_schema": {}}], "tool_choice": {"type": "tool", "name": "f"}, "messages": [{"role":
        "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "y"}]}]}' \
        >"$corpus/tools"
      printf '\x02{"max_tokens": 9, "stop_sequences": ["a"], "thinking": {"type": "adaptive"}, %s' \
        '"temperature": 1, "messages": [{"role": "assistant", "content": [{"type": "thinking",
        "thinking": "a", "signature": ""}, {"type": "text", "text": "b"}]}]}' >"$corpus/thinking" ;;
    openai)
      printf '\x04{"n": 2, "stop": ["a"], "logit_bias": {"5": 1}, "tools": [{"type": "function", %s' \
        '"function": {"name": "f"}}], "tool_choice": "required", "orthrus": {"mode": "ar"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}' >"$corpus/chat"
      printf '\x05{"prompt": [[1, 2], [3]], "stream": true, "stream_options": {}, "seed": -1}' \
        >"$corpus/text" ;;
    config) for model in tests/data/golden/*; do cp "$model/config.json" "$corpus/${model##*/}"; done ;;
    safetensors)  # two tensors, of which one is not aligned
      header='{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},'
      header+='"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}'
      { printf "\\x$(printf %02x "${#header}")\0\0\0\0\0\0\0" && printf '%s012345' "$header"; } \
        >"$corpus/small" ;;
    quantized)  # a matrix of each method, of eight rows and columns or fewer
      file() {  # CONFIG HEADER DATA, which may have \0 and an octal number
        { printf '{"quantization_config":%s}\n---\n' "$1" && printf "\\x$(printf %02x $((${#2} % 256)))" &&
          printf "\\x$(printf %02x $((${#2} / 256)))\0\0\0\0\0\0" && printf '%s%b' "$2" "$3"; }
      }
      file '{"quant_method":"fp8","weight_block_size":[1,2]}' \
        '{"a.weight":{"dtype":"F8_E4M3","shape":[1,2],"data_offsets":[0,2]},"a.weight_scale_inv":{"dtype":"F32","shape":[1,1],"data_offsets":[2,6]}}' \
        '01qwer' >"$corpus/fp8"
      file '{"quant_method":"awq","bits":4,"group_size":8}' \
        '{"a.qweight":{"dtype":"I32","shape":[8,1],"data_offsets":[0,32]},"a.qzeros":{"dtype":"I32","shape":[1,1],"data_offsets":[32,36]},"a.scales":{"dtype":"F16","shape":[1,8],"data_offsets":[36,52]}}' \
        '0123456789abcdef0123456789abcdef0123456789abcdef0123' >"$corpus/awq"
      zeros=$(printf '\\0%.0s' {1..32})
      file '{"quant_method":"gptq","bits":4,"group_size":8,"sym":false,"desc_act":true}' \
        '{"a.qweight":{"dtype":"I32","shape":[1,8],"data_offsets":[0,32]},"a.qzeros":{"dtype":"I32","shape":[1,1],"data_offsets":[32,36]},"a.scales":{"dtype":"F16","shape":[1,8],"data_offsets":[36,52]},"a.g_idx":{"dtype":"I32","shape":[8],"data_offsets":[52,84]}}' \
        "0123456789abcdef0123456789abcdef0123456789abcdef0123$zeros" >"$corpus/gptq"
      file '{"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"g":{"weights":{"num_bits":4,"type":"int","symmetric":false,"strategy":"channel"}}}}' \
        '{"a.weight_packed":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]},"a.weight_scale":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]},"a.weight_zero_point":{"dtype":"I32","shape":[1,1],"data_offsets":[8,12]},"a.weight_shape":{"dtype":"I64","shape":[2],"data_offsets":[12,28]}}' \
        '0123qwer4567\01\0\0\0\0\0\0\0\010\0\0\0\0\0\0\0' >"$corpus/packed" ;;
    gguf)  # the beginning of a model: two keys, and an embedding of two rows
      u32() { printf "\\x$(printf %02x "$1")\0\0\0"; }
      u64() { u32 "$1" && u32 0; }
      text() { u64 "${#1}" && printf %s "$1"; }
      { printf GGUF && u32 3 && u64 1 && u64 2 &&
        text general.architecture && u32 8 && text qwen2 &&
        text qwen2.block_count && u32 4 && u32 1 &&
        text token_embd.weight && u32 2 && u64 2 && u64 2 && u32 0 && u64 0 &&
        head -c 64 /dev/zero; } >"$corpus/small" ;;
  esac
  echo "fuzz: $target, $seconds seconds"
  build-fuzz/tests/fuzz/fuzz_$target -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 \
    -print_final_stats=1 -artifact_prefix=build-fuzz/ "$corpus" 2>&1 | tail -n 12
done
