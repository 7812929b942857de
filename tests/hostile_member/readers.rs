//! A user who may read a store and not write it, with a project of their own.

use crate::people::{ADA, BOB, People};

#[test]
#[ignore = "needs root"]
fn who_may_only_read_a_store_can_show_what_is_in_it() {
    let people = People::new();
    people.run(ADA, "download tiny").ok();
    people.run(ADA, "lock").ok();
    let store = format!("--store {} --no-local", people.store().display());
    let shown = people.run(BOB, &format!("download tiny {store}")).ok();
    let shown = shown.says("cannot be written here").says("may remove them");
    assert_eq!(shown.last_line(), "models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf");
    people.run(BOB, &format!("list {store}")).ok().prints("tiny\tgguf\tq4_k_m");
    people.run(BOB, &format!("verify {store}")).ok().prints("1 ok");
    people.run(BOB, &format!("remove tiny {store}")).ok();
    let lock = "configs/models.lock";
    std::fs::copy(people.project(ADA).join(lock), people.project(BOB).join(lock)).unwrap();
    people.run(BOB, &format!("sync --offline {store}")).ok();
    people.run(BOB, &format!("path tiny {store}")).ok();
    people.run(BOB, &format!("download tiny:q8_0 {store}")).code(1);
    people.run(ADA, "verify").ok().prints("1 ok");
}
