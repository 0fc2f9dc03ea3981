"""Makes repetition.json: rows of logits before and after transformers' repetition penalty.

It is what RepetitionPenaltyLogitsProcessor of transformers 5.24 does, in numpy: gather the logits of
all tokens so far, multiply those below 0 and divide the others, in float32, scatter them back.

    python3 make.py > repetition.json
"""
import json

import numpy


def repetition_penalty(input_ids, scores, penalty):
    score = scores[input_ids]
    score = numpy.where(score < 0, score * numpy.float32(penalty), score / numpy.float32(penalty))
    result = scores.copy()
    result[input_ids] = score
    return result


random = numpy.random.default_rng(1)
cases = []
for penalty in (1.0, 1.05, 1.1, 1.3, 2.0, 0.7):
    for count in (0, 1, 12, 60):
        logits = (random.standard_normal(40) * 5).astype(numpy.float32)
        tokens = random.integers(0, 40, count)
        penalised = repetition_penalty(tokens, logits, penalty)
        assert penalised.dtype == numpy.float32
        cases.append({"penalty": penalty, "tokens": tokens.tolist(),
                      "logits": logits.astype(float).tolist(),
                      "penalised": penalised.astype(float).tolist()})
print("[" + ",\n".join(json.dumps(case) for case in cases) + "]")
