//! What the documents need to be run, and what of them cannot be run here.

/// How a line is treated that is not simply run.
pub enum Seen {
    /// It cannot be run here, for this reason.
    Not(&'static str),
    /// It ends with this code, for this reason.
    Ends(i32, &'static str),
}
use Seen::{Ends, Not};

/// Document, command, and why it is not simply run. A command without a row is run, and has to succeed.
pub const ROWS: &[(&str, &str, Seen)] = &[
    (
        "README.md",
        "cargo run --release -- download tinyllama-1.1b-chat --quant q4_k_m",
        Not("builds the program, and needs the Hub"),
    ),
    ("README.md", "cargo run --release --example tour", Not("builds the program")),
    ("README.md", "sh tests/check.sh", Not("runs this test")),
    ("docs/models.md", "model-manager download owner/repo --choose", Ends(2, "it needs a terminal, and says so")),
    ("docs/share.md", "model-manager init --user ~/models-store", Ends(2, "the store of the block before is in the settings")),
    ("docs/share.md", "model-manager projects check", Ends(1, "a project is gone")),
    (
        "docs/workstation.md",
        "sudo install -d -g llm -m 2775 /srv/models",
        Not("needs root and a group; tests/hostile_member has both"),
    ),
    ("docs/ci.md", "git add configs/models.yaml configs/models.lock", Not("a command of git")),
];

/// Documents whose commands are run by another test.
pub const ELSEWHERE: &[(&str, &str)] = &[("docs/migrating.md", "python/tests/test_migrating.py")];

/// What stands in documents for something of the reader's own machine. `ROOT` is the folder of the test.
pub const EVERYWHERE: &[(&str, &str)] = &[
    ("/srv/", "ROOT/srv/"),
    ("/media/usb/", "ROOT/usb/"),
    ("/mnt/models/", "ROOT/mnt/"),
    // Other programs, which only get a path.
    ("llama-server -m", "test -f"),
    ("vllm serve", "test -d"),
];

/// What has happened before, in each document: a script.
pub const SCENES: &[(&str, &str)] = &[
    ("README.md", "model-manager init --user; model-manager download llama-2-7b-chat"),
    ("docs/models.md", "model-manager download llama-2-7b-chat"),
    ("docs/space.md", "model-manager download phi-2"),
    (
        "docs/share.md",
        "model-manager download tinyllama-1.1b-chat\n\
         mkdir -p ~/old ~/gone\n\
         (cd ~/old; model-manager download owner/repo:Q8_0)\n\
         (cd ~/gone; model-manager --store ~/models-store download owner/repo:Q4_K_M)\n\
         rm -r ~/gone",
    ),
    ("docs/workstation.md", "mkdir -p /srv/models /srv/team/game"),
    ("docs/move.md", "mkdir -p /media/usb/; model-manager download phi-2"),
    ("docs/ci.md", ""),
    ("docs/cluster.md", "mkdir -p /mnt/models/; model-manager download phi-2; model-manager lock"),
    (
        "docs/apps.md",
        "model-manager download mistral-7b-instruct-v0.2 phi-2\n\
         model-manager download tinyllama-1.1b-chat --format safetensors\n\
         blobs=~/.ollama/models/blobs; tags=~/.ollama/models/manifests/registry.ollama.ai/library/tiny\n\
         mkdir -p $blobs $tags ~/lm-models\n\
         { cat models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf; echo; } > ~/ours\n\
         digest=$(sha256sum < ~/ours | cut -c 1-64); size=$(stat -c %s ~/ours); mv ~/ours $blobs/sha256-$digest\n\
         printf '{\"schemaVersion\":2,\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:%s\",\"size\":%s}]}' \
         $digest $size > $tags/latest\n\
         mkdir -p ~/downloads ~/lm-models/acme/phi; cp $blobs/sha256-$digest ~/lm-models/acme/phi/phi.gguf",
    ),
    ("docs/troubleshooting.md", "model-manager download mistral-7b-instruct-v0.2 phi-2"),
    ("docs/settings.md", ""),
    ("docs/exit-codes.md", ""),
    ("docs/platforms.md", ""),
    ("docs/json.md", ""),
];
