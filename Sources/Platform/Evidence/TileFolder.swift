import Basics
import Foundation
import Vault

/// The files of a published log: `checkpoint`, `log.vkey`, `tile/<level>/…` and `tile/entries/…`.
///
/// Every file is whole or absent. Folders are synced by `sync`, once for many files, before the checkpoint that speaks
/// of them is written.
struct TileFolder {
  static let checkpointName = "checkpoint"
  static let keyName = "log.vkey"

  let path: String
  private var unsynced: Set<String> = []

  init(path: String) throws {
    self.path = path
    try DurableFile.makeFolder(path)
  }

  func lock(wait: Duration) throws -> FileLock { try FileLock(path, wait: wait) }

  func read(_ name: String) throws -> [UInt8]? { try DurableFile.read(path + "/" + name)?.bytes }

  func exists(_ tile: TilePath) -> Bool { FileManager.default.fileExists(atPath: path + "/" + tile.text) }

  mutating func write(_ tile: TilePath, hashes: [MerkleHash]) throws {
    try write(tile, bytes: hashes.flatMap(\.bytes))
  }

  mutating func write(_ tile: TilePath, bytes: [UInt8]) throws {
    let file = path + "/" + tile.text
    let folder = (file as NSString).deletingLastPathComponent
    try DurableFile.makeFolder(folder)
    try DurableFile.replace(file, with: bytes, mode: 0o600, durable: false)
    var parent = folder
    // A new folder is only found again when its parents are on the disk as well.
    while parent.count >= path.count, unsynced.insert(parent).inserted {
      parent = (parent as NSString).deletingLastPathComponent
    }
  }

  /// Puts everything written so far on the disk.
  mutating func sync() throws {
    for folder in unsynced { try DurableFile.syncFolder(folder) }
    unsynced = []
  }

  func writeCheckpoint(_ note: [UInt8]) throws {
    try DurableFile.replace(path + "/" + TileFolder.checkpointName, with: note, mode: 0o600)
  }

  func writeKey(_ key: EvidenceVerifierKey) throws {
    let bytes = Array((key.text + "\n").utf8)
    if try read(TileFolder.keyName) != bytes {
      try DurableFile.replace(path + "/" + TileFolder.keyName, with: bytes, mode: 0o600)
    }
  }

  /// Removes the partial forms of a tile whose full form is published.
  func removePartials(of tile: TilePath) throws {
    let folder = path + "/" + tile.partialFolder
    if FileManager.default.fileExists(atPath: folder) { try FileManager.default.removeItem(atPath: folder) }
  }

  /// Removes what a crash can leave: temporary files, and partial tiles beside full ones of the first `size` entries.
  func removeLeftovers(size: Int) throws {
    for name in files() {
      if (name as NSString).lastPathComponent.hasPrefix(DurableFile.temporaryPrefix) {
        try FileManager.default.removeItem(atPath: path + "/" + name)
      } else if let tile = TilePath(name), tile.count < TilePath.width,
        TilePath.all(tile.kind, size: size).count > tile.index, exists(TilePath(tile.kind, index: tile.index)),
        isFull(tile, size: size)
      {
        try removePartials(of: tile)
      }
    }
  }

  private func isFull(_ tile: TilePath, size: Int) -> Bool {
    var items = size
    if case .hashes(let level) = tile.kind { for _ in 0..<level { items /= TilePath.width } }
    return (tile.index + 1) * TilePath.width <= items
  }

  /// Every file below the folder, by its path from there, sorted.
  func files() -> [String] {
    var isFolder: ObjCBool = false
    let names = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
    return names.filter {
      FileManager.default.fileExists(atPath: path + "/" + $0, isDirectory: &isFolder) && !isFolder.boolValue
    }.sorted()
  }
}
