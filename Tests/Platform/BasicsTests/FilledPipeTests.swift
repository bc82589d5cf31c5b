import Basics
import SystemPackage
import Testing

@Suite("A pipe that holds what a program is to read")
struct FilledPipeTests {
  @Test("all of it is read, and then it ends", arguments: [0, 1, 65_536, 65_537, FilledPipe.bytesMax])
  func holds(count: Int) throws {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    let reading = try FilledPipe.reading(bytes)
    defer { try? reading.close() }
    var read: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 100_000)
    while case let found = try piece.withUnsafeMutableBytes({ try reading.read(into: $0) }), found > 0 {
      read += piece.prefix(found)
    }
    #expect(read == bytes)
  }

  @Test("more than a pipe holds is refused, not waited for")
  func tooMuch() {
    #expect(throws: Errno.fileTooLarge) { try FilledPipe.reading([UInt8](repeating: 0, count: FilledPipe.bytesMax + 1)) }
  }
}
