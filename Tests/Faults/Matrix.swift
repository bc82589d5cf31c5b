import Basics
import Foundation
import Link

/// Many cells, some at once, and what they say together.
struct Matrix: Sendable {
  var results: [CellResult] = []

  /// Cells wait for most of their time, so several share the machine.
  static let atOnce = 3
  static let rightShareMin = 0.95

  static func run(_ cells: [Cell]) async -> Matrix {
    var matrix = Matrix()
    await withTaskGroup(of: CellResult.self) { group in
      var rest = cells[...]
      for cell in rest.prefix(atOnce) { group.addTask { await cell.run() } }
      rest = rest.dropFirst(atOnce)
      for await result in group {
        matrix.results.append(result)
        say(result.line)
        if let next = rest.popFirst() { group.addTask { await next.run() } }
      }
    }
    matrix.results.sort { ($0.fault.rawValue, $0.load.rawValue) < ($1.fault.rawValue, $1.load.rawValue) }
    return matrix
  }

  var rightShare: Double {
    results.isEmpty ? 0 : Double(results.filter(\.isRight).count) / Double(results.count)
  }

  var report: String {
    var lines = [
      "| fault | load | verdict | class | noticed, control plane / Host | verdict after | back after | "
        + "answered / failed | |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += results.map(\.line)
    lines += ["", "Injected down, recognised across:", ""] + confusion
    let right = results.filter(\.isRight).count
    lines += ["", "\(right) of \(results.count) cells right (\(String(format: "%.1f", rightShare * 100)) %)"]
    return lines.joined(separator: "\n")
  }

  /// The confusion matrix: the expected classes against those that were given.
  private var confusion: [String] {
    func name(_ lossClass: LossClass?) -> String { lossClass?.rawValue ?? "no loss" }
    let expected = Set(results.map { name($0.fault.lossClass) }).sorted()
    let given = Set(results.map { name($0.lossClass) }).sorted()
    var counts: [String: Int] = [:]
    for result in results { counts[name(result.fault.lossClass) + ">" + name(result.lossClass), default: 0] += 1 }
    let head = ["| | \(given.joined(separator: " | ")) |", "| --- |" + given.map { _ in " --- |" }.joined()]
    return head
      + expected.map { row in
        "| \(row) | " + given.map { counts["\(row)>\($0)"].map(String.init) ?? "" }.joined(separator: " | ") + " |"
      }
  }

  /// To whoever watches the run, and to the file that `AW_FAULT_REPORT` names.
  func publish() throws {
    Self.say(report)
    guard let path = ProcessInfo.processInfo.environment["AW_FAULT_REPORT"] else { return }
    try (report + "\n").write(toFile: path, atomically: true, encoding: .utf8)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try encoder.encode(results).write(to: URL(filePath: path + ".json"))
  }

  static func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
}
