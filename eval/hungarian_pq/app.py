"""The Space: upload a prediction and its ground truth, get panoptic quality under the convention you choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbps_dataset.formats.class_tables import class_names
from mbps_dataset.formats.image_segmentation import as_labels
from mbps_dataset.metrics import CONVENTIONS, PanopticQuality, format_table
from mbps_dataset.taxonomy import STUFF_19, THINGS_19


MATCHINGS = ("none", "hungarian", "majority")


def score(
    pred_semantic: str | None,
    pred_instance: str | None,
    true_semantic: str | None,
    true_instance: str | None,
    convention: str = "coco",
    matching: str = "none",
) -> tuple[str, dict[str, Any]]:
    """Table and JSON for one image, given paths of PNG id maps (train ids 0-18, 255 = void; instances may be missing).

    What cannot be read comes back as the sentence that says why.
    """
    if pred_semantic is None or true_semantic is None:
        return "Upload a semantic map for the prediction and for the ground truth.", {}
    try:
        metric = PanopticQuality(THINGS_19, STUFF_19, convention=convention, matching=matching)
        prediction = as_labels((pred_semantic, pred_instance) if pred_instance else pred_semantic, "prediction")
        truth = as_labels((true_semantic, true_instance) if true_instance else true_semantic, "ground truth")
        metric.update(**prediction.as_prediction(), **truth.as_truth(), image_id=Path(pred_semantic).stem)
    except ValueError as error:
        return str(error), {}
    result = metric.compute()
    return format_table(result, class_names=class_names(19)), result.to_dict()


def build_app() -> Any:
    """The page."""
    import gradio as gr

    card = (Path(__file__).parent / "README.md").read_text(encoding="utf-8").split("---", 2)[-1]
    with gr.Blocks(title="Hungarian panoptic quality") as app:
        with gr.Row():
            maps = [
                gr.File(label=f"{label} (PNG or .npy)", type="filepath", file_types=[".png", ".npy"])
                for label in ("predicted classes", "predicted instances", "true classes", "true instances")
            ]
        with gr.Row():
            convention = gr.Dropdown(CONVENTIONS, value="coco", label="convention")
            matching = gr.Dropdown(MATCHINGS, value="none", label="matching")
        button = gr.Button("Score")
        table, numbers = gr.Code(label="result", language=None), gr.JSON(label="everything")
        button.click(score, [*maps, convention, matching], [table, numbers])
        gr.Markdown(card)
    return app


if __name__ == "__main__":
    build_app().launch()
