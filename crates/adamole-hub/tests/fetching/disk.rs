//! Disks that are full and folders that cannot be written.

use crate::mount::Mount;
use crate::server::etag;
use crate::*;

#[test]
fn a_full_disk_is_named_and_the_file_continued_when_there_is_room() {
    let content = bytes(400_000);
    let mut world = World::new(site(&[("model.safetensors", &content)]), right);
    let Some(mount) = Mount::new(world.cache(), "size=256k") else { return };
    let error = world.fetch(&["model.safetensors"]).unwrap_err();
    let partial = world.root().join("blobs").join(format!("{}.incomplete", etag(&content)));
    assert!(matches!(&error, HubError::DiskFull { path, .. } if *path == partial), "{error:?}");
    let kept = std::fs::metadata(&partial).unwrap().len();
    assert!(kept > 100_000, "{kept}");

    mount.remount("size=2m");
    let snapshot = world.fetch(&["model.safetensors"]).unwrap();
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).unwrap(), content);
    assert_eq!(world.server.offsets(), [None, Some(kept as usize)]);
}

#[test]
fn a_read_only_cache_is_named() {
    let mut world = World::new(model(), right);
    let Some(mount) = Mount::new(world.cache(), "size=256k") else { return };
    let snapshot = world.fetch(&["config.json"]).unwrap();
    mount.remount("ro");
    let error = world.fetch(&["model.safetensors"]).unwrap_err();
    assert!(matches!(&error, HubError::NotWritable { path, .. } if path.starts_with(world.cache())), "{error:?}");
    assert_eq!(world.fetch(&["config.json"]).unwrap(), snapshot, "what it has can be used");
}

#[test]
fn a_cache_that_is_a_file_is_named() {
    let mut world = World::new(model(), right);
    std::fs::write(world.cache(), "").unwrap();
    let error = world.fetch(&["config.json"]).unwrap_err();
    assert!(matches!(&error, HubError::NotWritable { path, .. } if path.starts_with(world.cache())), "{error:?}");
}
