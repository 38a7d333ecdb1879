"""The model card of an adapter: what it is, what it came from, what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TEMPLATE = """\
---
{header}
---
# {title} adapter for {base_id}

{what}

**Not for clinical use.** It is a research artefact, neither validated nor approved as a medical
device. Its answers must not guide the diagnosis or treatment of any person. It names {things} it was
trained on and says nothing about how likely they are; it can be wrong with confidence, and it
inherits the gaps and biases of the teacher, of the {sources} and of the base model.

## Base model
{base_id}{revision}, {parameters:,} parameters, licence {licence}, checksum `{base_sha256}`.
{hub_note}
## Training
| | |
| --- | --- |
{training}

{objective}

## Held-out preference pairs
Step {kept_step}. These numbers say how well the adapter follows the teacher, not how well it diagnoses.

| metric | value |
| --- | --- |
{metrics}

## Use
```python
from peft import PeftModel
from transformers import {classes}

{reader} = {reading}.from_pretrained("adapter")
model = {loading}.from_pretrained("{loadable}"{loadable_revision})
model = PeftModel.from_pretrained(model, "adapter")
```
Prompts must have the wording of the training prompts.
"""
TITLES = {
    "orpo": "ORPO",
    "sft": "SFT",
    "sft-truth": "SFT (true label)",
    "dpo": "DPO",
    "listwise": "Listwise",
}
OBJECTIVES = {
    "orpo": "The objective is odds-ratio preference optimisation (Hong et al., arXiv 2403.07691):\n"
    "the negative log-likelihood of the teacher's first {things} minus beta times the log-sigmoid of\n"
    "the log odds ratio of its first against its last {things}.",
    "sft": "The objective is the likelihood of the teacher's first {things} (supervised fine-tuning by TRL).",
    "sft-truth": "The objective is the likelihood of the true one of the {things} alone (supervised\n"
    "fine-tuning by TRL).",
    "dpo": "The objective is direct preference optimisation (Rafailov et al., arXiv 2305.18290) by TRL: the\n"
    "teacher's first {things} against its last.",
    "listwise": "The objective is the likelihood of the teacher's first {things}, and the divergence of the\n"
    "student's likelihoods of single {things} from the teacher's scores of them.",
}
READS = {
    "what": "A {variant} adapter that teaches a language model, from text alone, the disease ranking of a\n"
    "multimodal teacher. It answers a list of phenotypes with a numbered list of rare diseases.",
    "things": "diseases",
    "sources": "published cases",
    "reader": "tokenizer",
    "reading": "AutoTokenizer",
    "loading": "AutoModelForCausalLM",
    "classes": "AutoModelForCausalLM, AutoTokenizer",
}
SEES = {
    "what": "A {variant} adapter that teaches a vision-language model the tissue ranking of an image-text\n"
    "teacher. It answers a tile of an H&E slide with a numbered list of tissue types.",
    "things": "tissue types",
    "sources": "slides",
    "reader": "processor",
    "reading": "AutoProcessor",
    "loading": "AutoModelForImageTextToText",
    "classes": "AutoModelForImageTextToText, AutoProcessor",
}


def model_card(
    base: Mapping[str, Any], settings: Mapping[str, Any], summary: Mapping[str, Any], data: Mapping[str, str]
) -> str:
    """Markdown with the front matter that model hubs read; no path of this machine is in it.

    Args:
        base: content of base_model.json.
        settings: the slice {track}.student of the configuration.
        summary: from the training (pairs, steps, tokens, metrics, kept_step, versions).
        data: SHA-256 of the training and validation pairs, and of the images if the student sees.
    """
    sees = "images" in data
    words = dict(SEES if sees else READS)
    variant = {"lora": "LoRA", "dora": "DoRA", "rslora": "rsLoRA"}[settings["lora"]["variant"]]
    words["what"] = words["what"].format(variant=variant)
    lora, training = settings["lora"], settings["training"]
    arm = summary["arm"]
    words["title"], words["objective"] = TITLES[arm], OBJECTIVES[arm].format(**words)
    if unlabelled := summary.get("without_truth", 0):
        words["objective"] += f"\nOf {unlabelled} nobody knows it: the teacher's first stood in its place."
    elif arm == "sft-truth":
        words["objective"] += "\nThe teacher's lists were not used."
    if arm == "orpo" and settings["orpo"]["odds_scope"] == "decisions":
        words["objective"] += "\nThe odds are of the tokens alone that decide between names."
    loadable = base.get("hub_id")
    facts = {
        "training pairs": summary["pairs"]["train"],
        "held-out pairs": summary["pairs"]["validation"],
        "pairs left out": json.dumps(summary["dropped"], sort_keys=True),
        "training pairs, SHA-256": f"`{data['train']}`",
        "held-out pairs, SHA-256": f"`{data['validation']}`",
        **(_of_images(settings, data) if sees else {}),
        **{f"{arm}: {key}": value for key, value in settings.get(arm, {}).items()},
        "adapter": f"{lora['variant']}, r {lora['r']}, alpha {lora['alpha']}, dropout {lora['dropout']}, "
        f"on {lora['target_modules']}",
        "quantisation of the base": settings["quantization"],
        "precision": settings["precision"],
        "optimiser": f"AdamW, learning rate {training['learning_rate']}, {training['schedule']}, "
        f"warm-up {training['warmup_ratio']}, weight decay {training['weight_decay']}",
        "pairs per step": summary["pairs_per_step"],
        "steps": summary["steps"],
        "tokens": summary["tokens"],
        "seed": training["seed"],
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(summary["versions"].items())),
    }
    header = ["library_name: peft", f"pipeline_tag: {'image-text-to-text' if sees else 'text-generation'}"]
    header += [f"base_model: {loadable}"] if loadable else []
    header += ["tags:", f"- {arm}", "- lora", "- histopathology" if sees else "- rare-disease"]
    metrics = {name: value for name, value in summary["metrics"].items() if name.startswith("eval_")}
    return TEMPLATE.format(
        header="\n".join(header),
        base_id=base["id"],
        revision=f" at revision {base['revision']}" if base.get("revision") else "",
        parameters=base["parameters"],
        licence=base["licence"],
        base_sha256=base["sha256"],
        hub_note=_hub_note(base),
        training="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        kept_step=summary["kept_step"],
        metrics="\n".join(f"| {name} | {value:.4f} |" for name, value in sorted(metrics.items()))
        or "| none | no held-out pairs |",
        loadable=loadable or "base",
        loadable_revision=f', revision="{base["revision"]}"' if loadable and base.get("revision") else "",
        **words,
    )


def _of_images(settings: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, str]:
    return {
        "images, SHA-256": f"`{data['images']}`",
        "projector": "trained, whole in the adapter"
        if settings["train_projector"]
        else "as in the base model",
    }


def _hub_note(base: Mapping[str, Any]) -> str:
    if base.get("hub_id") is None:
        return "It is published nowhere; keep it beside the adapter.\n"
    if base["hub_id"] != base["id"]:
        return (
            f"The weights are a dequantised copy of {base['hub_id']}; on the original weights the "
            "adapter loads, and answers slightly differently.\n"
        )
    return ""
