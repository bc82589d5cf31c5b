import Basics
import Foundation
import Logging
import Store
import Vault

/// What the last run of the publisher did.
public struct EvidencePublication: Sendable {
  public let at: Timestamp
  /// How many entries are published and signed, as far as is known.
  public let size: Int
  /// Nil when everything that was in the database is published.
  public let problem: AWError?
}

/// Copies the log from the database to files that anyone can check: a reconciler without input.
///
/// It may be killed at any point. Tiles go to the disk before the checkpoint that speaks of them, so what is signed is
/// always complete; the next run repeats the rest. When it cannot write, acts go on: the database has every entry, and
/// `lastRun` says what is wrong.
public actor EvidencePublisher {
  /// Entries read from the database at a time, as tiles.
  private static let tilesPerRead = 8
  /// How long to wait for another process that publishes into the same folder.
  private static let lockWait = Duration.seconds(2)

  public private(set) var lastRun: EvidencePublication?

  private nonisolated let thread = ThreadExecutor.start(name: "aw.evidence")
  private let log: EvidenceLog
  private let store: Store
  private let directory: String
  private let signer: EvidenceSigner
  private let clock: WallClock
  private let logger: Logger
  private let changed: @Sendable () -> Void
  /// The run that was asked for last.
  private var newest: Task<EvidencePublication, Never>?
  /// The right edge of what is published; nil until the folder was looked at, and after a failed run.
  private var published: TileTree?

  // It blocks on the disk, so it has a thread of its own.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  /// - Parameters:
  ///   - directory: the folder of the published log; made if missing.
  ///   - vault: holds the signing key at `evidence/signing-key`, made on first use.
  ///   - origin: the name of the log, such as `aw/<deployment id>`.
  ///   - published: told after each run that published entries, for live pages.
  public init(
    log: EvidenceLog, store: Store, vault: Vault, directory: String, origin: String, clock: WallClock, logger: Logger,
    published: @escaping @Sendable () -> Void = {}
  ) async throws {
    let seed = try await vault.putIfAbsent(try SecretReference("evidence/signing-key")) {
      Secret(bytes: [UInt8].random(count: 32))
    }
    self.log = log
    self.store = store
    self.directory = directory
    self.signer = try EvidenceSigner(seed: seed, origin: origin)
    self.clock = clock
    self.logger = logger
    changed = published
  }

  deinit { thread.stop() }

  public nonisolated var verifierKey: EvidenceVerifierKey { signer.verifierKey }

  /// Publishes at once, then after each commit that added entries, and every `interval` (for entries of other
  /// processes, and to try again after a failure). Ends when its task is cancelled.
  public func run(every interval: Duration = .seconds(30), clock: any Clock<Duration> = ContinuousClock()) async {
    let log = log
    await withDiscardingTaskGroup { group in
      group.addTask {
        while !Task.isCancelled {
          do { try await clock.sleep(for: interval) } catch { return }
          log.nudge()
        }
      }
      await publish()
      for await _ in log.nudges { await publish() }
      group.cancelAll()
    }
  }

  /// Brings the files up to the state of the database, once. Never throws: `lastRun` has the outcome.
  ///
  /// One run after the other: a run that waits for the database gives way on this actor, and a second one that then
  /// waited for the folder's lock would keep the first from ever letting go of it.
  @discardableResult
  public func publish() async -> EvidencePublication {
    let before = newest
    let run = Task {
      _ = await before?.value
      return await publishOnce()
    }
    newest = run
    return await run.value
  }

  private func publishOnce() async -> EvidencePublication {
    let before = lastRun
    let outcome: EvidencePublication
    do {
      outcome = EvidencePublication(at: clock.now, size: try await publishNow(), problem: nil)
    } catch {
      published = nil
      let problem = explain(error)
      outcome = EvidencePublication(at: clock.now, size: before?.size ?? 0, problem: problem)
      if before?.problem != problem {
        logger.error("Evidence was not published", metadata: ["why": "\(problem.chain)"])
      }
    }
    lastRun = outcome
    if outcome.size != before?.size { changed() }
    return outcome
  }

  /// The signed checkpoint of what is published; nil before the first.
  func checkpointNote() throws -> [UInt8]? { try TileFolder(path: directory).read(TileFolder.checkpointName) }

  private func publishNow() async throws -> Int {
    var folder = try TileFolder(path: directory)
    let lock = try folder.lock(wait: EvidencePublisher.lockWait)
    defer { withExtendedLifetime(lock) {} }
    let log = log
    let head = try await store.read { try log.head(in: $0) }
    var tree: TileTree
    var isNew = false
    // Another process may have published in the meantime, so the checkpoint is read every time.
    if let checkpoint = try readCheckpoint(folder) {
      if let published, published.size == checkpoint.size, published.root == checkpoint.root {
        tree = published
      } else {
        tree = try await resume(checkpoint, head: Int(head.size), in: &folder)
      }
    } else {
      tree = TileTree()
      isNew = true
    }
    let start = tree.size
    if start < Int(head.size) {
      try await extend(&tree, to: Int(head.size), in: &folder, onlyMissing: false)
    }
    guard tree.root == head.root else { throw broken("The head of the log does not fit its entries.") }
    if isNew || tree.size > start {
      try folder.writeKey(signer.verifierKey)
      try folder.sync()
      let checkpoint = EvidenceCheckpoint(origin: signer.verifierKey.name, size: tree.size, root: tree.root)
      try folder.writeCheckpoint(try signer.sign(checkpoint))
      try removePartials(from: start, to: tree.size, in: folder)
    }
    published = tree
    return tree.size
  }

  private func readCheckpoint(_ folder: TileFolder) throws -> EvidenceCheckpoint? {
    guard let note = try folder.read(TileFolder.checkpointName) else { return nil }
    do {
      return try EvidenceCheckpoint(note: note, key: signer.verifierKey)
    } catch let refusal as EvidenceCheckpoint.Refusal {
      throw broken("The published checkpoint is not one of this deployment: \(refusal.what).")
    }
  }

  /// Rebuilds the right edge from the database, and holds it against what was signed before. Files that are missing
  /// are written again; files that are there are left alone, so that a changed one stays to be found.
  private func resume(_ checkpoint: EvidenceCheckpoint, head: Int, in folder: inout TileFolder) async throws -> TileTree
  {
    guard checkpoint.size <= head else {
      throw broken("\(checkpoint.size) entries were published, but the database has \(head).")
    }
    var tree = TileTree()
    try await extend(&tree, to: checkpoint.size, in: &folder, onlyMissing: true)
    guard tree.root == checkpoint.root else { throw broken("The database has other entries than were published.") }
    if try folder.read(TileFolder.keyName) == nil { try folder.writeKey(signer.verifierKey) }
    try folder.sync()
    try folder.removeLeftovers(size: checkpoint.size)
    return tree
  }

  private func extend(_ tree: inout TileTree, to size: Int, in folder: inout TileFolder, onlyMissing: Bool) async throws
  {
    while tree.size < size {
      let first = tree.size / TilePath.width * TilePath.width
      let last = min(size, first + EvidencePublisher.tilesPerRead * TilePath.width)
      let rows = try await read(first..<last)
      for start in stride(from: 0, to: rows.count, by: TilePath.width) {
        let part = rows[start..<min(start + TilePath.width, rows.count)]
        let bundle = TilePath(.entries, index: (first + start) / TilePath.width, count: part.count)
        for (offset, row) in part.enumerated() where first + start + offset >= tree.size {
          for (path, hashes) in tree.append(row.hash) where !onlyMissing || !folder.exists(path) {
            try folder.write(path, hashes: hashes)
          }
        }
        if !onlyMissing || !folder.exists(bundle) {
          try folder.write(bundle, bytes: EntryBundle.encode(part.map(\.bytes)))
        }
      }
    }
    for (path, hashes) in tree.partial where !onlyMissing || !folder.exists(path) {
      try folder.write(path, hashes: hashes)
    }
  }

  private func read(_ range: Range<Int>) async throws -> [(hash: MerkleHash, bytes: [UInt8])] {
    let rows = try await store.read { tx in
      try tx.run(
        "SELECT entry_index, hash, bytes FROM evidence_entry WHERE entry_index >= ? AND entry_index < ? "
          + "ORDER BY entry_index", [.integer(range.lowerBound), .integer(range.upperBound)])
    }
    return try zip(range, rows + Array(repeating: nil, count: max(0, range.count - rows.count))).map { index, row in
      guard let row, try row.integer("entry_index") == index else {
        throw broken("Entry \(index) is missing in the database.")
      }
      let bytes = try row.blob("bytes")
      guard let hash = MerkleHash(try row.blob("hash")), hash == Merkle.leaf(bytes) else {
        throw EvidenceLog.broken(entry: Int64(index))
      }
      return (hash, bytes)
    }
  }

  /// Removes the partial forms of the tiles that became full between two sizes.
  private func removePartials(from start: Int, to size: Int, in folder: TileFolder) throws {
    for level in 0..<TilePath.levels(size: size) {
      let items = (0..<level).reduce((start, size)) { items, _ in (items.0 / TilePath.width, items.1 / TilePath.width) }
      for index in (items.0 / TilePath.width)..<max(items.0 / TilePath.width, items.1 / TilePath.width) {
        try folder.removePartials(of: TilePath(.hashes(level: level), index: index))
        if level == 0 { try folder.removePartials(of: TilePath(.entries, index: index)) }
      }
    }
  }

  private func broken(_ what: String) -> AWError {
    AWError(
      .evidenceBroken, "The evidence log in the database and the published one do not fit. \(what)",
      next: "Keep both, do not delete the published folder, and find out what changed. After a database was restored "
        + "from a backup, move the published folder away, so that a new one is started.")
  }

  private func explain(_ error: any Error) -> AWError {
    guard let failure = error as? FileFailure else { return AWError.wrapping(error, doing: "Publishing evidence") }
    if failure.isDiskFull {
      return AWError(
        .storeFull, "The disk is full, so new evidence entries are not published. The database has them all.",
        next: "Free space on the disk of \(directory.quoted). AW publishes the rest by itself.", cause: failure)
    }
    if failure.code == EWOULDBLOCK {
      return AWError(
        .evidenceUnwritable, "Another AW process publishes evidence into \(directory.quoted).",
        next: "Give each control plane a data directory of its own.", cause: failure)
    }
    return AWError(
      .evidenceUnwritable, "New evidence entries cannot be written to \(directory.quoted). The database has them all.",
      next: "Check that the folder belongs to the user that runs AW. AW publishes the rest by itself.", cause: failure)
  }
}
