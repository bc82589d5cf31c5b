/// What the tests of several rooms share: stores on both engines, folders that go away, waiting without sleeping.
public enum TestSupport {}
