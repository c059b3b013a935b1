"""What to use in place of an operator that the compiler does not know."""

from __future__ import annotations


def instead(op: str, known: str, event: bool = False) -> str:
    """Say what to use in place of an operator; ``known`` lists those that can be used."""
    ends = (
        "; use ReduceMean, or a Conv as long as the signal"
        if event
        else "; a stream has no end to look over, use a strided Conv"
    )
    compares = (
        "; torch's newer exporter compares where it could compute (softplus): export with dynamo=False, "
        "or use a Clip"
    )
    advice = {
        "RNN": "; use GRU or LSTM",
        "GlobalAveragePool": ends,
        "GlobalMaxPool": ends,
        "ReduceMax": ends,
        "InstanceNormalization": "; use BatchNormalization, which folds into a Conv",
        "LayerNormalization": "; use BatchNormalization, which folds into a Conv",
        "GroupNormalization": "; use BatchNormalization, which folds into a Conv",
        "RMSNormalization": "; use BatchNormalization, which folds into a Conv",
        "ArgMax": "; leave the choice to the caller. Codes are read by an instrument, and never compiled",
        "Softmax": "; use Sigmoid, or leave the choice to the caller",
        "Max": "; max(a, b) is a + relu(b - a)",
        "Min": "; min(a, b) is a - relu(a - b)",
        "Softsign": "; use Tanh",
        "Sqrt": "; use Tanh or a Clip to bend a signal",
        "Log": "; use Softplus or Tanh to bend a signal",
        "Reciprocal": "; multiply by a gain instead",
        "Where": compares,
        "Greater": compares,
        "GreaterOrEqual": compares,
        "Less": compares,
        "LessOrEqual": compares,
        "ConvInteger": "; write QuantizeLinear/DequantizeLinear around Conv (QDQ format)",
        "QLinearConv": "; quantize in QDQ format (quant_format=QuantFormat.QDQ)",
        "QLinearMatMul": "; quantize in QDQ format (quant_format=QuantFormat.QDQ)",
        "MatMulInteger": "; write QuantizeLinear/DequantizeLinear around MatMul (QDQ format)",
        "DynamicQuantizeLinear": "; use static quantization in QDQ format",
        "If": "; export one branch",
        "Loop": "; unroll it, or use GRU",
        "Scan": "; unroll it, or use GRU",
        "Attention": "; use convolutions",
        "Cos": "; use Sin",
    }
    return advice.get(op, f"; rewrite it with {known}")
