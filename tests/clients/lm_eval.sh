#!/bin/sh
# lm-eval's local-completions, with tasks of our own, against a started server: lm_eval.sh URL
# It scores by echo and logprobs, and tokenizes by the server.
set -eu
url=$1
cd "$(dirname "$0")/lm_eval_tasks"
exec "${LM_EVAL:-lm_eval}" --model local-completions \
  --model_args "base_url=$url/v1/completions,model=${MODEL:-tiny-code},num_concurrent=4,max_retries=1" \
  --include_path . --tasks code_choice,code_perplexity --batch_size "${BATCH:-4}"
