"""The container engines that the ``containers`` source asks."""
