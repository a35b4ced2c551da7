"""Images and networks with random weights in the working folder, in place of all stages before the evaluation."""

from tests.evaluation import project

if __name__ == "__main__":
    project.build_shards()
    project.build_judge()
    project.build_models()
