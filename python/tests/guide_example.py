from pathlib import Path
from tools.model_manager import ModelManager

# Initialize
manager = ModelManager(
    models_dir=Path("models"),
    config_path=Path("configs/models.yaml")
)

# Download a model
model_path = manager.download_model(
    model_id="mistral-7b-instruct-v0.2",
    format="gguf",
    quantization="q4_k_m"
)

if model_path:
    print(f"Model downloaded to: {model_path}")

# List cached models
models = manager.list_models()
for model in models:
    print(f"{model['model']}: {model['size_gb']:.2f} GB")

# Get path to existing model
model_path = manager.get_model_path(
    model_id="llama-2-7b-chat",
    format="gguf",
    quantization="q4_k_m"
)

# Verify model
is_valid = manager.verify_model(
    model_path,
    expected_sha256="abc123..."  # Optional
)

# Remove a model
manager.remove_model("old-model")
