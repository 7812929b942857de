//! Whole messages of each command, as people see them: what it did, what it would do, and why it did not.
//!
//! `SNAPSHOTS=overwrite cargo test --workspace --test cli messages` writes what is printed now.

use crate::kit::{FILE, MIB, Machine, REPO, entry, open_entry};
use crate::support::hub::{Content, Gating};
use crate::transcript::Transcript;
use snapbox::{IntoData, assert_data_eq, str};

#[test]
fn a_download_from_the_plan_to_the_removal() {
    let machine = Machine::new();
    let mut said = Transcript::of(&machine);
    said.run(&machine, &["download tiny --dry-run", "download tiny", "download tiny", "download tiny:q8_0 -q"]);
    said.run(&machine, &["list", "info tiny", "info", "path tiny", "verify", "verify --quick tiny"]);
    said.run(&machine, &["remove tiny --quant q8_0 --dry-run", "remove tiny --quant q8_0 --keep-blobs", "remove tiny", "list"]);
    assert_data_eq!(
        said.to_string(),
        str![[r#"
$ download tiny --dry-run
tiny gguf/q4_k_m
  from     TheBloke/Tiny-GGUF at [COMMIT]
  licence  not known
  path     models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf

  FILE                 SIZE  SHA256        STATE  TO FETCH
  tiny.Q4_K_M.gguf  2.10 MB  [ID]  fetch   2.10 MB

  2.10 MB of 2.10 MB to fetch; no request to plan, at least 1 to download
  [N] GB free on the volume of models/.blobs now, [N] GB after
  memory: fits: running it takes about [N] GB, with ease from [N] GB, this machine has [N] GB
  no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q8_0
$ download tiny
models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q8_0
! tiny.Q4_K_M.gguf: fetching 2.10 MB
! tiny.Q4_K_M.gguf: complete and verified, [N] MB in [N] s, [N] MB/s
! tiny gguf/q4_k_m: tiny.Q4_K_M.gguf, [N] MB, fetched in [N] s, [N] MB/s, shown by symlink
$ download tiny
models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q8_0
! tiny gguf/q4_k_m: tiny.Q4_K_M.gguf, 2.10 MB, already present, shown by symlink
$ download tiny:q8_0 -q
models/tiny/gguf/q8_0/tiny.Q8_0.gguf
$ list
tiny	gguf	q4_k_m	2097159	stored	models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf	[TIME]	[TIME]	[TIME]	TheBloke/Tiny-GGUF	[PROJECT]/models
tiny	gguf	q8_0	1048577	stored	models/tiny/gguf/q8_0/tiny.Q8_0.gguf	[TIME]	[TIME]	[TIME]	TheBloke/Tiny-GGUF	[PROJECT]/models
$ info tiny
tiny

  repository  TheBloke/Tiny-GGUF

  FORMAT  QUANT      SIZE  MEMORY  SOURCE  HERE  STATUS
  gguf    q4_k_m  2.10 MB  fits    pinned  *     active
  gguf    q8_0    1.05 MB  fits    pinned  *     active
  gguf/q4_k_m: tiny.Q4_K_M.gguf is not a GGUF file: it does not begin with `GGUF`
  gguf/q8_0: tiny.Q8_0.gguf is not a GGUF file: it does not begin with `GGUF`
$ info
tiny	-	-	gguf: q4_k_m* q8_0*	-	fits
$ path tiny
models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q8_0
$ verify
ok          models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf
ok          models/tiny/gguf/q8_0/tiny.Q8_0.gguf
2 files, 3.15 MB: 2 ok
$ verify --quick tiny
ok          models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf
ok          models/tiny/gguf/q8_0/tiny.Q8_0.gguf
2 files, 3.15 MB: 2 ok
$ remove tiny --quant q8_0 --dry-run
Would remove tiny gguf/q8_0
  models/tiny/gguf/q8_0/tiny.Q8_0.gguf
1.05 MB would be freed
$ remove tiny --quant q8_0 --keep-blobs
Removed tiny gguf/q8_0
  models/tiny/gguf/q8_0/tiny.Q8_0.gguf
0 B freed
! The content stays in the store, so a later download of it fetches nothing.
$ remove tiny
Removed tiny gguf/q4_k_m
  models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf
2.10 MB freed
$ list
! No models here yet. See what there is with `model-manager info`, then run `model-manager download <model>`.

"#]]
        .raw()
    );
}

#[test]
fn a_lock_and_what_follows_it() {
    let machine = Machine::new();
    let mut said = Transcript::of(&machine);
    said.run(&machine, &["lock --check", "lock", "lock tiny:q4_k_m --dry-run", "lock tiny:q4_k_m", "lock", "lock --check"]);
    said.run(&machine, &["sync --dry-run", "sync", "sync"]);
    said.run(
        &machine,
        &["use tiny:q4_k_m --backend llama_cpp --print", "use tiny:q4_k_m --backend llama_cpp", "use tiny --backend vllm"],
    );
    assert_data_eq!(
        said.to_string(),
        str![[r#"
$ lock --check  # exit code 3
! error: there is no lock file at [PROJECT]/configs/models.lock
! hint: Run `model-manager lock` to lock what this project uses, or `model-manager lock <model>`.
$ lock
! Nothing to lock: no model is here. `model-manager lock <model>` locks one before it is downloaded.
$ lock tiny:q4_k_m --dry-run
added    tiny gguf/q4_k_m  TheBloke/Tiny-GGUF at [ID], 2.10 MB
! configs/models.lock was not written: this was a dry run.
$ lock tiny:q4_k_m
added    tiny gguf/q4_k_m  TheBloke/Tiny-GGUF at [ID], 2.10 MB
! configs/models.lock was written. Commit it; `model-manager sync --locked` applies it.
$ lock
kept     tiny gguf/q4_k_m  TheBloke/Tiny-GGUF at [ID], 2.10 MB
! configs/models.lock stays as it is.
$ lock --check
configs/models.lock: 1 view, as used here and as in the registry
$ sync --dry-run
tiny gguf/q4_k_m
  from     TheBloke/Tiny-GGUF at [COMMIT]
  licence  not known
  path     models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf

  FILE                 SIZE  SHA256        STATE  TO FETCH
  tiny.Q4_K_M.gguf  2.10 MB  [ID]  fetch   2.10 MB

  2.10 MB of 2.10 MB to fetch; no request to plan, at least 1 to download
  [N] GB free on the volume of models/.blobs now, [N] GB after
  memory: fits: running it takes about [N] GB, with ease from [N] GB, this machine has [N] GB
$ sync
tiny gguf/q4_k_m: 1 file, 2.10 MB, 2.10 MB fetched
! tiny.Q4_K_M.gguf: fetching 2.10 MB
! tiny.Q4_K_M.gguf: complete and verified, [N] MB in [N] s, [N] MB/s
! 1 view as in configs/models.lock, 2.10 MB fetched
$ sync
tiny gguf/q4_k_m: 1 file, 2.10 MB, already present
! 1 view as in configs/models.lock, 0 B fetched
$ use tiny:q4_k_m --backend llama_cpp --print
# llama.cpp: one GGUF file. `model-manager use mistral-7b-instruct-v0.2 --backend llama_cpp` puts its path here.
backend:
  type: llama_cpp
  model_path: "models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf"
  n_ctx: 4096
  n_gpu_layers: 0  # Set to -1 for full GPU offload
! configs/backend/llama_cpp.yaml:4 would be:  model_path: "models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf"
$ use tiny:q4_k_m --backend llama_cpp
configs/backend/llama_cpp.yaml:4: model_path: "models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf"
! The file was made; look through its other settings.
$ use tiny --backend vllm  # exit code 3
! error: model `tiny` has no format `safetensors`; it has gguf
! hint: Run `model-manager info tiny` to see what it has.

"#]]
        .raw()
    );
}

#[test]
fn the_store_and_who_uses_it() {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m").ok();
    let blob = machine.content().sha256().to_owned();
    let mut said = Transcript::of(&machine);
    said.run(&machine, &["projects", &format!("why {blob}"), "doctor", "gc --dry-run", "gc"]);
    machine.run("remove tiny --keep-blobs").ok();
    said.run(&machine, &["gc --dry-run --grace 0s", "gc --grace 0s", "doctor"]);
    assert_data_eq!(
        said.to_string(),
        str![[r#"
$ projects
[PROJECT]/models	live	1	2097159	[TIME]	[UUID]
$ why a27b51cfb8c57f17cc4754baaed9fc8249f34eac42a977978984c6b2256c64f9
[SHA256]  2.10 MB
  used by [PROJECT]/models: tiny/gguf/q4_k_m
  compared with its published SHA-256
  from [HUB] TheBloke/Tiny-GGUF [COMMIT] tiny.Q4_K_M.gguf
$ doctor
all is well: 1 blob in models/.blobs; contents were not read: `--full` does that
$ gc --dry-run
0 B would be freed, 1 blob in use
$ gc
0 B freed, 1 blob in use
$ gc --dry-run --grace 0s
Would remove [ID]  2.10 MB
2.10 MB would be freed, 0 blobs in use
$ gc --grace 0s
Removed [ID]  2.10 MB
2.10 MB freed, 0 blobs in use
$ doctor
all is well: 0 blobs in models/.blobs; contents were not read: `--full` does that

"#]]
        .raw()
    );
}

#[test]
fn an_entry_of_the_registry_written_pinned_anew_and_taken_out() {
    let machine = Machine::new();
    machine.hub.repo("o/owl-GGUF").lfs("owl.Q4_K_M.gguf", Content::synthetic(MIB, 7)).commit();
    let mut said = Transcript::of(&machine);
    said.run(
        &machine,
        &["add o/owl-GGUF:q4_k_m --dry-run", "add o/owl-GGUF:q4_k_m", "add o/owl-GGUF:q4_k_m", "add owl:q4_k_m --update"],
    );
    said.run(&machine, &["lint", "lint --online", "registry remove owl --dry-run", "registry remove owl", "registry remove owl"]);
    assert_data_eq!(
        said.to_string(),
        str![[r#"
$ add o/owl-GGUF:q4_k_m --dry-run
--- a/configs/models.yaml
+++ b/configs/models.yaml
@@ -12,3 +12,13 @@
           file: "tiny.Q8_0.gguf"
           size: 1048577
           sha256: "[SHA256]"
+
+  owl:
+    huggingface_id: "o/owl-GGUF"
+    revision: "[COMMIT]"
+    formats:
+      gguf:
+        q4_k_m:
+          file: "owl.Q4_K_M.gguf"
+          size: 1048576
+          sha256: "[SHA256]"
! the id is `owl`; `--id` gives it another one
$ add o/owl-GGUF:q4_k_m
Added owl:q4_k_m in configs/models.yaml:16
  from     o/owl-GGUF at [COMMIT]
  licence  not known
  size     1.05 MB
! the id is `owl`; `--id` gives it another one
! Fetch it with `model-manager download owl:q4_k_m`.
$ add o/owl-GGUF:q4_k_m  # exit code 2
! error: `owl:q4_k_m` stands in line 21 of [PROJECT]/configs/models.yaml already
! hint: `model-manager add owl:q4_k_m --update` pins it anew at the present commit; `--id` adds it under another id.
$ add owl:q4_k_m --update
Unchanged: owl:q4_k_m is pinned at [COMMIT] already (configs/models.yaml:21)
$ lint
configs/models.yaml:2:3: note: model `tiny` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:2:3: note: model `tiny` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:16:3: note: model `owl` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:16:3: note: model `owl` has no `license` [license]
    Write the licence that the repository's page names.
ok: configs/models.yaml, 3 entries: 0 errors, 0 warnings, 4 notes
$ lint --online
configs/models.yaml:2:3: note: model `tiny` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:2:3: note: model `tiny` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:16:3: note: model `owl` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:16:3: note: model `owl` has no `license` [license]
    Write the licence that the repository's page names.
ok: configs/models.yaml, 3 entries: 0 errors, 0 warnings, 4 notes; the Hub was asked
$ registry remove owl --dry-run
--- a/configs/models.yaml
+++ b/configs/models.yaml
@@ -12,13 +12,3 @@
           file: "tiny.Q8_0.gguf"
           size: 1048577
           sha256: "[SHA256]"
-
-  owl:
-    huggingface_id: "o/owl-GGUF"
-    revision: "[COMMIT]"
-    formats:
-      gguf:
-        q4_k_m:
-          file: "owl.Q4_K_M.gguf"
-          size: 1048576
-          sha256: "[SHA256]"
$ registry remove owl
Took owl out of configs/models.yaml:16
$ registry remove owl  # exit code 3
! error: model `owl` not found in registry [PROJECT]/configs/models.yaml
! hint: Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.

"#]]
        .raw()
    );
}

#[test]
fn what_the_hub_refuses() {
    let mut machine = Machine::new();
    machine.hub.repo("meta/gated").lfs("m.Q4_K_M.gguf", Content::synthetic(MIB + 3, 5)).gated(Gating::Manual).commit();
    machine.hub.repo("bad/disabled").lfs("x.Q4_K_M.gguf", "x").disabled().commit();
    machine.hub.token("hf_other", &[]);
    machine.registry(&[
        open_entry("gated", "meta/gated", &[("q4_k_m", "m.Q4_K_M.gguf")]),
        open_entry("absent", "no/such", &[("q4_k_m", "x.gguf")]),
        open_entry("tiny", REPO, &[("q4_k_m", "tiny.Q4_K_S.gguf"), ("q2_k", "else.bin")]),
    ]);
    let mut said = Transcript::of(&machine);
    said.run(
        &machine,
        &["download gated", "download absent", "download bad/disabled:q4_k_m", "download tiny", "download tiny:q2_k"],
    );
    said.run(
        &machine,
        &["download tiny --revision v9", &format!("download {REPO}:q3_k_l"), &format!("download hf://{REPO}/nope.gguf")],
    );
    said.run(&machine, &[&format!("download {REPO} --format safetensors"), "download tiny --offline"]);
    for token in ["hf_other", "hf_StaleSecret"] {
        machine.sandbox.set_env("HF_TOKEN", token);
        said.run(&machine, &["download gated", "download absent"]);
    }
    assert_data_eq!(said.to_string(), str![[r#"
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and no token was sent: ask for access at [HUB]/meta/gated, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download absent  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/no/such/revision/main: Invalid username or password (request Root=[REQUEST])
! hint: Either the repository `no/such` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download bad/disabled:q4_k_m  # exit code 5
! error: HTTP 403 Forbidden for [HUB]/api/models/bad/disabled/revision/main: Access to this resource is disabled (request Root=[REQUEST])
! hint: The Hub has disabled this repository; [HUB]/bad/disabled may say why. Use another one.
$ download tiny  # exit code 3
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q2_k
! note: the file of `tiny:q4_k_m` is named like `q4_k_s`
! error: there is no tiny.Q4_K_S.gguf of TheBloke/Tiny-GGUF at [COMMIT]
! hint: The nearest name there is `tiny.Q4_K_M.gguf`: correct it in the registry.
$ download tiny:q2_k  # exit code 3
! error: there is no else.bin of TheBloke/Tiny-GGUF at [COMMIT]
! hint: See the files at [HUB]/TheBloke/Tiny-GGUF/tree/f60694ea0f8943f65d750065c1b64fec078b6be3.
$ download tiny --revision v9  # exit code 3
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q2_k
! note: the file of `tiny:q4_k_m` is named like `q4_k_s`
! error: the repository `TheBloke/Tiny-GGUF` has no such revision (HTTP 404 Not Found for [HUB]/api/models/TheBloke/Tiny-GGUF/revision/v9: Invalid rev id: v9 (request Root=[REQUEST]))
! hint: See the branches and tags at [HUB]/TheBloke/Tiny-GGUF/tree/main.
$ download TheBloke/Tiny-GGUF:q3_k_l  # exit code 3
! error: the repository has no GGUF file of the label `q3_k_l`
! hint: There is: `model-manager download TheBloke/Tiny-GGUF:q4_k_m` (2.10 MB), `model-manager download TheBloke/Tiny-GGUF:q8_0` (1.05 MB).
$ download hf://TheBloke/Tiny-GGUF/nope.gguf  # exit code 3
! error: there is no nope.gguf of TheBloke/Tiny-GGUF at [COMMIT]
! hint: See the files at [HUB]/TheBloke/Tiny-GGUF/tree/f60694ea0f8943f65d750065c1b64fec078b6be3.
$ download TheBloke/Tiny-GGUF --format safetensors  # exit code 3
! error: the repository has no safetensors weights in its root folder
! hint: There is: *.gguf.
$ download tiny --offline  # exit code 6
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q2_k
! note: the file of `tiny:q4_k_m` is named like `q4_k_s`
! error: offline: [HUB]/api/models/TheBloke/Tiny-GGUF/revision/main was not asked
! hint: To allow requests, drop `--offline` and unset HF_HUB_OFFLINE.
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 403 Forbidden for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted and you are not in the authorized list (request Root=[REQUEST])
! hint: The token is good, but access is not granted yet: accept the licence or ask for access at [HUB]/meta/gated. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download absent  # exit code 3
! error: there is no repository `no/such` on the Hub (HTTP 404 Not Found for [HUB]/api/models/no/such/revision/main: Repository not found (request Root=[REQUEST]))
! hint: Check the name `no/such`; a private repository needs a token that may read it (HF_TOKEN).
$ download gated  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/meta/gated/revision/main: Invalid credentials in Authorization header (request Root=[REQUEST])
! hint: The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set it to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download absent  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/no/such/revision/main: Invalid credentials in Authorization header (request Root=[REQUEST])
! hint: The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set it to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.

"#]].raw());
}

#[test]
fn what_the_registry_says_otherwise() {
    let machine = Machine::new();
    let pinned = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]);
    let mut said = Transcript::of(&machine);
    machine.registry(&[pinned.replace(machine.content().sha256(), &"ab".repeat(32))]);
    said.run(&machine, &["download tiny"]);
    machine.registry(&[pinned.replace(FILE, "gone.gguf")]);
    said.run(&machine, &["download tiny"]);
    assert_data_eq!(said.to_string(), str![[r#"
$ download tiny  # exit code 4
! tiny.Q4_K_M.gguf: fetching 2.10 MB
! tiny.Q4_K_M.gguf: stopped
! warning: the content of tiny.Q4_K_M.gguf is wrong: expected sha256 [SHA256], got sha256 [SHA256]; it is downloaded again from [HUB] and as a whole
! tiny.Q4_K_M.gguf: fetching 2.10 MB
! tiny.Q4_K_M.gguf: stopped
! error: the content of tiny.Q4_K_M.gguf is wrong: expected sha256 [SHA256], got sha256 [SHA256]
! hint: Nothing was published and the wrong bytes were dropped. Run the download again; if it repeats, the source serves another file than the registry pins: check its `sha256` and `revision`.
$ download tiny  # exit code 3
! gone.gguf: fetching 2.10 MB
! gone.gguf: stopped
! error: gone.gguf: the repository `TheBloke/Tiny-GGUF` has no such file (HTTP 404 Not Found for [HUB]/TheBloke/Tiny-GGUF/resolve/[COMMIT]/gone.gguf: Entry not found (request Root=[REQUEST]))
! hint: See the files at [HUB]/TheBloke/Tiny-GGUF/tree/main.

"#]].raw());
}
