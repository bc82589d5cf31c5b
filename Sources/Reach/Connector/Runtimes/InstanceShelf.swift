import Basics
import Foundation
import Link

/// All Instance directories of this Host: `<data>/instances/`. Several runtimes share it.
struct InstanceShelf: Sendable {
  struct Entry: Sendable {
    var directory: InstanceDirectory
    var record: InstanceRecord
  }

  let root: String
  let ports: ClosedRange<Int>

  init(dataDirectory: String, ports: ClosedRange<Int>) {
    root = dataDirectory + "/instances"
    self.ports = ports
  }

  func directory(for slug: Slug) -> InstanceDirectory { InstanceDirectory(path: root + "/" + slug.text) }

  /// Every Instance that has a record, and the records that cannot be read.
  func read() throws -> (entries: [Entry], damaged: [any Error]) {
    guard FileManager.default.fileExists(atPath: root) else { return ([], []) }
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: root).sorted()
    } catch {
      throw AWError.file(root, error, doing: "listed")
    }
    var entries: [Entry] = []
    var damaged: [any Error] = []
    for name in names {
      guard let slug = try? Slug(name) else { continue }
      let directory = directory(for: slug)
      do {
        guard let record = try directory.load() else { continue }
        entries.append(Entry(directory: directory, record: record))
      } catch {
        damaged.append(error)
      }
    }
    return (entries, damaged)
  }

  /// Runs `body` while no other runtime or Connector on this data directory chooses a port.
  func whileChoosingPort<Value>(_ body: ([Entry]) throws -> Value) throws -> Value {
    try makeRoot()
    let path = root + "/.ports"
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw AWError.file(path, errno) }
    // Closing gives the lock back.
    defer { close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else { throw AWError.file(path, errno, doing: "locked") }
    }
    return try body(read().entries)
  }

  private func makeRoot() throws {
    do {
      try FileManager.default.createDirectory(
        atPath: root, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    } catch {
      throw AWError.file(root, error, doing: "made")
    }
  }

  /// Lets other users pass through the data directory to what is theirs; they still cannot list it.
  func letPass() throws {
    for path in [(root as NSString).deletingLastPathComponent, root] {
      let mode = try mode(of: path)
      if mode & 0o001 == 0, chmod(path, mode | 0o001) != 0 { throw AWError.file(path, errno, doing: "changed") }
    }
  }

  /// Takes the Instance's directory and port, and writes its record: the first thing that preparing leaves behind.
  ///
  /// - Parameter running: it holds its port itself, so that the port is not tried.
  func claim(_ spec: InstanceSpec, running: Bool) throws -> Entry {
    let directory = directory(for: spec.slug)
    return try whileChoosingPort { entries in
      let mine = entries.first { $0.record.spec.instance == spec.instance }
      try checkPlace(spec, directory: directory, mine: mine, entries: entries)
      var others: [Int: String] = [:]
      for entry in entries where entry.record.spec.instance != spec.instance && entry.record.installed {
        others[entry.record.port] = entry.record.spec.slug.text
      }
      let kept = mine?.record.port
      let port = try PortAllocator.settle(in: ports, wanted: spec.port, kept: kept, others: others) {
        (running && $0 == kept) || PortAllocator.canListen($0)
      }
      var record = mine?.record ?? InstanceRecord(spec: spec, port: port)
      if record.image?.reference != spec.image { record.image = nil }
      record.spec = spec
      record.port = port
      record.installed = true
      try DurableFile.makeDirectory(
        directory.path, mode: DurableFile.owner(of: directory.path) == nil ? 0o700 : try mode(of: directory.path))
      if record != mine?.record { try directory.save(record) }
      return Entry(directory: directory, record: record)
    }
  }

  private func mode(of path: String) throws -> mode_t {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw AWError.file(path, errno, doing: "read") }
    return status.st_mode & 0o7777
  }

  private func checkPlace(_ spec: InstanceSpec, directory: InstanceDirectory, mine: Entry?, entries: [Entry]) throws {
    if let mine, mine.directory != directory {
      throw AWError(
        .conflict, "The Instance \(spec.instance) lives on this Host as '\(mine.record.spec.slug)'.",
        next: "Keep that name; an Instance is not renamed on its Host.")
    }
    if let mine, mine.record.installed, mine.record.spec.runtime != spec.runtime {
      throw AWError(
        .conflict, "The Instance '\(spec.slug)' is installed with the runtime '\(mine.record.spec.runtime.rawValue)'.",
        next: "Remove it without purging, then provision it with the other runtime: the data stays.")
    }
    guard mine == nil else { return }
    if let holder = entries.first(where: { $0.directory == directory }) {
      throw AWError(
        .conflict, "The directory \(directory.path) holds data of another Instance, \(holder.record.spec.instance).",
        next: "Move that directory away, or delete it, on the Host; or choose another name.")
    }
    // A record that cannot be read is not in the list: reading it again says what is wrong with it.
    _ = try directory.load()
  }
}
